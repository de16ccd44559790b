# SPDX-License-Identifier: Apache-2.0
"""Waits that start and end in the triggerer, one DAG for each way to name the import."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

SENSOR = {
    "task_id": "wait",
    "poke_interval": 5,
    "timeout": 150,
    "retries": 2,
    "retry_delay": timedelta(seconds=1),
    "start_from_trigger": True,
    "end_from_trigger": True,
}


@task
def upload(params: dict[str, Any]) -> str:
    """Return the id of the import to wait for."""
    import_id: str = params["import_id"]
    return import_id


@task(multiple_outputs=True)
def upload_with_details(params: dict[str, Any]) -> dict[str, str]:
    """Return the id of the import to wait for, among other things."""
    return {"summary_id": params["import_id"], "file": "leaves.csv"}


@task
def upload_nothing() -> None:
    """Return nothing."""


@task
def next_step(progress: Any) -> Any:
    """Return what the sensor has handed on."""
    return progress


def dag(name: str, **arguments: Any) -> DAG:
    """Return a DAG that is given the id of an import."""
    params = {"import_id": Param("not-set", type="string")}
    return DAG(f"without_workers_{name}", schedule=None, params=params, **arguments)


def wait(**arguments: Any) -> None:
    """Add the sensor and the task after it."""
    next_step(LuccaLeaveImportSensor(**{**SENSOR, **arguments}).output)


with dag("xcom"):
    wait(summary_id=upload())

with dag("soft"):
    wait(summary_id=upload(), soft_fail=True)

with dag("xcom_with_key"):
    wait(summary_id=upload_with_details()["summary_id"])

with dag("missing_xcom"):
    wait(summary_id=upload_nothing(), retries=0)

with dag("missing_connection"):
    wait(summary_id=upload(), lucca_conn_id="nowhere", retries=0)

with dag("impatient"):
    wait(summary_id=upload(), timeout=10)

with dag("jinja_that_hangs"):
    upload() >> LuccaLeaveImportSensor(**SENSOR, summary_id="{{ ti.xcom_pull('upload') }}")

with dag("native", render_template_as_native_obj=True):
    wait(summary_id="2024_001", retries=0)

with dag("native_on_a_worker", render_template_as_native_obj=True):
    wait(summary_id="2024_001", retries=0, start_from_trigger=False)

with dag("native_template", render_template_as_native_obj=True):
    wait(summary_id="{{ '2024' }}_001", retries=0)

with dag("jinja_params"):
    wait(summary_id="{{ params.import_id }}")

with dag("mapped"):

    @task
    def uploads(params: dict[str, Any]) -> list[str]:
        """Return the ids of the imports to wait for."""
        return [params["import_id"]]

    next_step(LuccaLeaveImportSensor.partial(**SENSOR).expand(summary_id=uploads()).output)
