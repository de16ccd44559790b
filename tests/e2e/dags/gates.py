# SPDX-License-Identifier: Apache-2.0
"""
One DAG for each way to wait: a sensor and the task behind it.

The import to wait for exists already; its id is handed to the DAG run.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}
# Airflow takes a resumed task for a dead one, and spends a retry on it, if the scheduler has not yet heard that its
# first part has ended, which takes seconds on a busy machine: hence no short gaps before a worker is taken again.
SENSOR = {"task_id": "wait", "poke_interval": 10, "timeout": 150}


@task
def next_step(progress: Any) -> Any:
    """Return what the sensor has handed on."""
    return progress


def gate(dag_id: str, **arguments: Any) -> None:
    """Make a DAG whose sensor has these arguments besides the common ones."""
    params = {"import_id": Param("not-set", type="string")}
    with DAG(dag_id, schedule=None, default_args=RETRIES, params=params):
        wait = LuccaLeaveImportSensor(**{**SENSOR, "summary_id": "{{ params.import_id }}", **arguments})
        next_step(wait.output)


gate("deferred")
gate("poking", deferrable=False, poke_interval=1)
gate("rescheduled", deferrable=False, mode="reschedule")
gate("impatient", timeout=15)
gate("soft", soft_fail=True)
gate("with_a_wrong_key", lucca_conn_id="lucca_wrong_key", retries=0)


with DAG("mapped", schedule=None, default_args=RETRIES, params={"import_ids": Param([], type="array")}) as mapped:

    @task
    def uploads(params: dict[str, Any]) -> list[str]:
        """Return the ids of the imports to wait for."""
        ids: list[str] = params["import_ids"]
        return ids

    next_step(LuccaLeaveImportSensor.partial(**SENSOR).expand(summary_id=uploads()).output)
