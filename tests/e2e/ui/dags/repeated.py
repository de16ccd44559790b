# SPDX-License-Identifier: Apache-2.0
"""A wait that runs several times, so that it has a usual duration."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

with DAG("repeated", schedule=None, params={"summary_id": Param("not-set", type="string")}):
    LuccaLeaveImportSensor(task_id="wait", summary_id="{{ params.summary_id }}", poke_interval=5)
