# SPDX-License-Identifier: Apache-2.0
"""
The same waits in each mode: a task that starts imports, a sensor for each of them, a small task behind each sensor.

The imports exist already; their ids are handed to the DAG run.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, get_parsing_context, task

from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

WAITS = 50
MANY_WAITS = 500
POKE_INTERVAL = 30

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


def waits(dag_id: str, count: int, *, has_next_steps: bool = True, **arguments: Any) -> None:
    """Make a DAG of so many waits."""
    # A worker reads only the DAG of its task, so that the others cost it nothing.
    if get_parsing_context().dag_id not in (None, dag_id):
        return
    with DAG(dag_id, schedule=None, params={"import_ids": Param({}, type="object")}):
        ids = upload()
        for number in range(count):
            name = f"wait_{number}"
            wait = LuccaLeaveImportSensor(
                task_id=name, summary_id=ids[name], poke_interval=POKE_INTERVAL, timeout=3600, **arguments
            )
            if has_next_steps:
                next_step.override(task_id=f"next_{number}")(wait.output)


waits("without_workers", WAITS, **WITHOUT_WORKERS)
waits("deferred", WAITS)
waits("rescheduled", WAITS, deferrable=False, mode="reschedule")
waits("fifty", WAITS, has_next_steps=False, **WITHOUT_WORKERS)
waits("five_hundred", MANY_WAITS, has_next_steps=False, **WITHOUT_WORKERS)
