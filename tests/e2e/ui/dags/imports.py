# SPDX-License-Identifier: Apache-2.0
"""Waits whose imports move, end well and end badly. The imports exist already; their ids are handed to the DAG run."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor

TASKS = ("growing", "failing", "refused", "done", "without_workers")

with DAG(
    "imports",
    schedule=None,
    params={task: Param("not-set", type="string") for task in TASKS},
    default_args={"poke_interval": 5, "timeout": 1800},
):
    ZillizImportSensor(task_id="growing", job_id="{{ params.growing }}", zilliz_conn_id="milvus_default")
    ZillizImportSensor(task_id="failing", job_id="{{ params.failing }}")
    LeadsyImportSensor(task_id="refused", import_code="{{ params.refused }}", max_failed_records=0)
    LuccaLeaveImportSensor(task_id="done", summary_id="{{ params.done }}")
    # A template with params is not one that the triggerer resolves.
    LuccaLeaveImportSensor(
        task_id="without_workers",
        summary_id="{{ dag_run.conf['without_workers'] }}",
        start_from_trigger=True,
        end_from_trigger=True,
    )
