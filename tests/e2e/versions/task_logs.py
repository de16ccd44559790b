# SPDX-License-Identifier: Apache-2.0
"""The log files of tasks."""

from __future__ import annotations

from tools.local_airflow import LocalAirflow


def last_error_log(airflow: LocalAirflow, dag_id: str, task: str) -> str:
    """Return the log of the last try of a task with an error of this package."""
    folder = airflow.home / f"logs/dag_id={dag_id}/run_id=run" / f"task_id={task}"
    logs = [log.read_text() for log in sorted(folder.glob("attempt=*.log"))]
    return next(log for log in reversed(logs) if "Import" in log and "Error" in log)
