# SPDX-License-Identifier: Apache-2.0
"""
One DAG for all supported versions of Airflow: a good and a bad import in each mode, and a task after each.

The imports exist already; their ids are handed to the DAG run.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor
from airflow_import_progress.waiting.published import XCOM_KEY

MODES: dict[str, dict[str, Any]] = {
    "deferred": {"deferrable": True},
    "rescheduled": {"deferrable": False, "mode": "reschedule"},
}


@task
def next_step(name: str, progress: Any, ti: Any = None) -> None:
    """Write down what the sensor has handed on, and what it has published for people to look at."""
    Path(os.environ["AIRFLOW_HOME"], f"{name}.json").write_text(json.dumps(progress))
    published = ti.xcom_pull(task_ids=f"wait_{name}", key=XCOM_KEY)
    Path(os.environ["AIRFLOW_HOME"], f"{name}.published.json").write_text(json.dumps(published))


with DAG("gates", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(seconds=1)}):
    for mode, arguments in MODES.items():
        for outcome in ("good", "bad"):
            name = f"{outcome}_{mode}"
            wait = LuccaLeaveImportSensor(
                task_id=f"wait_{name}",
                summary_id=f"{{{{ dag_run.conf['{name}'] }}}}",
                lucca_conn_id="lucca_gates",
                poke_interval=5,
                timeout=240,
                **arguments,
            )
            next_step.override(task_id=f"next_step_{name}")(name, wait.output)
