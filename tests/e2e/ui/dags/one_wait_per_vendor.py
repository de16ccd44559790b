# SPDX-License-Identifier: Apache-2.0
"""One wait at each vendor, side by side. The imports exist already; their ids are handed to the DAG run."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor

VENDORS = ("lucca", "rocketchat", "zilliz", "leadsy")

with DAG(
    "waits",
    schedule=None,
    params={vendor: Param("not-set", type="string") for vendor in VENDORS},
    default_args={"poke_interval": 5, "timeout": 1800},
):
    LuccaLeaveImportSensor(task_id="lucca", summary_id="{{ params.lucca }}")
    RocketChatImportSensor(task_id="rocketchat", operation_id="{{ params.rocketchat }}")
    ZillizImportSensor(task_id="zilliz", job_id="{{ params.zilliz }}")
    LeadsyImportSensor(task_id="leadsy", import_code="{{ params.leadsy }}")
