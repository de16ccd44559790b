# SPDX-License-Identifier: Apache-2.0
"""
What the DAGs share: a task that starts imports, a sensor for each of them, a small task behind each sensor.

The imports exist already; their ids are handed to the DAG run. Each DAG has a file of its own, because whoever reads a
file, be it for one task, reads all of it.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, task

from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

POKE_INTERVAL = 30

ARGUMENTS: dict[str, Any] = {"schedule": None, "params": {"import_ids": Param({}, type="object")}}
WITHOUT_WORKERS = {"start_from_trigger": True, "end_from_trigger": True}


@task(multiple_outputs=True)
def upload(params: dict[str, Any]) -> dict[str, str]:
    """Return the ids of the imports by the names of their waits."""
    ids: dict[str, str] = params["import_ids"]
    return ids


@task
def next_step(progress: dict[str, Any]) -> str:
    """Return of which import the sensor told."""
    return progress["import_id"]


def add_waits(count: int, *, has_next_steps: bool = True, **arguments: Any) -> None:
    """Add so many waits to the DAG that is being made."""
    ids = upload()
    for number in range(count):
        name = f"wait_{number}"
        wait = LuccaLeaveImportSensor(
            task_id=name, summary_id=ids[name], poke_interval=POKE_INTERVAL, timeout=3600, **arguments
        )
        if has_next_steps:
            next_step.override(task_id=f"next_{number}")(wait.output)
