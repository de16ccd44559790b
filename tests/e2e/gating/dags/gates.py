# SPDX-License-Identifier: Apache-2.0
"""
One DAG for each way to wait: a sensor and the task after it.

The import to wait for exists already; its id is handed to the DAG run.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor

RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}
# Airflow takes a resumed task for a dead one, and spends a retry on it, if the scheduler has not yet heard that its
# first part has ended, which takes seconds on a busy machine: hence no short gaps before a worker is taken again.
SENSOR = {"task_id": "wait", "poke_interval": 10, "timeout": 150}


@task
def next_step(progress: Any) -> Any:
    """Return what the sensor has handed on."""
    return progress


IMPORT_ID = "{{ params.import_id }}"


def gate(dag_id: str, sensor_class: type[BaseImportSensor] = LuccaLeaveImportSensor, **arguments: Any) -> None:
    """Make a DAG whose sensor has these arguments besides the common ones."""
    params = {"import_id": Param("not-set", type="string")}
    with DAG(dag_id, schedule=None, default_args=RETRIES, params=params):
        if sensor_class is LuccaLeaveImportSensor:
            arguments = {"summary_id": IMPORT_ID, **arguments}
        wait = sensor_class(**{**SENSOR, **arguments})
        next_step(wait.output)


gate("deferred")
gate("poking", deferrable=False, poke_interval=1)
gate("rescheduled", deferrable=False, mode="reschedule")
gate("impatient", timeout=15)
gate("soft", soft_fail=True)
gate("user_locations", LuccaUserLocationImportSensor, summary_id=IMPORT_ID, check_results=True)
gate("rocketchat", RocketChatImportSensor, importer_key="csv")
gate(
    "rocketchat_of_a_second_workspace",
    RocketChatImportSensor,
    importer_key="csv",
    rocketchat_conn_id="rocketchat_second_workspace",
)
gate("zilliz", ZillizImportSensor, job_id=IMPORT_ID)
gate("milvus", ZillizImportSensor, job_id=IMPORT_ID, zilliz_conn_id="milvus_default")
gate("leadsy", LeadsyImportSensor, import_code=IMPORT_ID, max_failed_records=2)
gate("with_a_wrong_key", lucca_conn_id="lucca_wrong_key", retries=0)


with DAG("mapped", schedule=None, default_args=RETRIES, params={"import_ids": Param([], type="array")}) as mapped:

    @task
    def uploads(params: dict[str, Any]) -> list[str]:
        """Return the ids of the imports to wait for."""
        ids: list[str] = params["import_ids"]
        return ids

    next_step(LuccaLeaveImportSensor.partial(**SENSOR).expand(summary_id=uploads()).output)
