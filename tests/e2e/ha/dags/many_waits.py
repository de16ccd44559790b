# SPDX-License-Identifier: Apache-2.0
"""Forty waits in one DAG, each with a task after it. The run gets the ids of imports that already exist."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, task
from wait_specs import WAITS, Kind, WaitSpec

from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor

#: The sensor of each kind of import, and its argument for the import's id.
SENSORS: dict[Kind, tuple[type[BaseImportSensor], str]] = {
    "leave": (LuccaLeaveImportSensor, "summary_id"),
    "user_location": (LuccaUserLocationImportSensor, "summary_id"),
    "rocketchat": (RocketChatImportSensor, "operation_id"),
    "zilliz": (ZillizImportSensor, "job_id"),
    "leadsy": (LeadsyImportSensor, "import_code"),
}
MODES: dict[str, dict[str, Any]] = {
    "deferred": {},
    "without_workers": {"start_from_trigger": True, "end_from_trigger": True},
    "rescheduled": {"deferrable": False, "mode": "reschedule"},
}


@task(multiple_outputs=True)
def uploads(params: dict[str, Any]) -> dict[str, str]:
    """Return the ids of the imports by the names of the waits."""
    ids: dict[str, str] = params["import_ids"]
    return ids


@task
def next_step(name: str, progress: Any) -> None:
    """Add a line to a file each time that this runs."""
    with Path(os.environ["NEXT_STEPS"]).open("a") as file:
        file.write(f"{name}\n")


def sensor(wait: WaitSpec, import_id: Any) -> BaseImportSensor:
    """Return the sensor of a wait."""
    sensor_class, argument = SENSORS[wait.kind]
    arguments: dict[str, Any] = {argument: import_id, **MODES[wait.mode]}
    if wait.kind == "rocketchat" and wait.ending == "failing":
        arguments["rocketchat_conn_id"] = "rocketchat_second_workspace"
    return sensor_class(task_id=wait.task_id, poke_interval=10, timeout=wait.timeout, **arguments)


with DAG(
    "many_waits",
    schedule=None,
    # The waits must not use their retries, whatever fails.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
    params={"import_ids": Param({}, type="object")},
):
    ids = uploads()
    for wait in WAITS:
        waiting = sensor(wait, ids[wait.name])
        next_step.override(task_id=wait.next_task_id)(wait.name, waiting.output)
