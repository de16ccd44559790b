# SPDX-License-Identifier: Apache-2.0
"""Start an import in one task and wait for it in another one."""

from airflow.sdk import DAG, task

from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor


@task(retries=0)
def upload(params):
    """Start the import, and return its identifier."""
    return LuccaHook().start_leave_import(params["file"]).summary_id


with DAG("with_sensor", schedule=None, params={"file": "/data/leaves.csv"}):
    LuccaLeaveImportSensor(task_id="import_leaves", summary_id=upload(), poke_interval=10, timeout=3600)
