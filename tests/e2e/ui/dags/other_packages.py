# SPDX-License-Identifier: Apache-2.0
"""Waits with the sensors of other packages. The imports exist already; their ids are handed to the DAG run."""

from __future__ import annotations

from acme_imports.sensors import AcmeImportSensor
from airflow.sdk import DAG, Param

from gitlab_imports.sensors import GitLabProjectImportSensor

TASKS = ("growing", "failing", "without_workers", "without_percent")

with DAG(
    "other_packages",
    schedule=None,
    params={task: Param("not-set", type="string") for task in TASKS},
    default_args={"acme_conn_id": "acme_with_page", "poke_interval": 5, "timeout": 1800},
):
    AcmeImportSensor(task_id="growing", job_id="{{ params.growing }}")
    AcmeImportSensor(task_id="failing", job_id="{{ params.failing }}")
    # A template with params is not one that the triggerer resolves.
    AcmeImportSensor(
        task_id="without_workers",
        job_id="{{ dag_run.conf['without_workers'] }}",
        start_from_trigger=True,
        end_from_trigger=True,
    )
    GitLabProjectImportSensor(task_id="without_percent", project_id="{{ params.without_percent }}")
