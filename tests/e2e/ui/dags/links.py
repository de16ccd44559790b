# SPDX-License-Identifier: Apache-2.0
"""Waits on a connection that says where the import can be seen, in every mode that leaves the worker."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

with DAG(
    "links",
    schedule=None,
    params={"summary_id": Param("not-set", type="string")},
    default_args={
        "summary_id": "{{ params.summary_id }}",
        "lucca_conn_id": "lucca_with_page",
        "poke_interval": 600,
        "timeout": 1800,
    },
):
    LuccaLeaveImportSensor(task_id="deferred")
    LuccaLeaveImportSensor(task_id="rescheduled", deferrable=False, mode="reschedule")
    # A template with params is not one that the triggerer resolves.
    LuccaLeaveImportSensor(
        task_id="without_workers",
        summary_id="{{ dag_run.conf['summary_id'] }}",
        start_from_trigger=True,
        end_from_trigger=True,
    )
