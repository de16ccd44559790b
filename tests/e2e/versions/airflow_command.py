# SPDX-License-Identifier: Apache-2.0
"""Airflow's command line, which all versions have in common."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

from tools.airflow_api import wait_until
from tools.local_airflow import LocalAirflow

# Airflow 2 has no API server.
HAS_API_SERVER = importlib.util.find_spec("airflow.sdk") is not None
FINAL_STATES = {"success", "failed", "upstream_failed", "skipped"}


class AirflowCommand:
    """
    Run commands of an Airflow.

    :param airflow: The Airflow.
    """

    def __init__(self, airflow: LocalAirflow) -> None:
        self._airflow = airflow

    def __call__(self, *arguments: str) -> str | None:
        """Return the output of an Airflow command, or None if the command fails."""
        self._airflow.check_running()
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "airflow", *arguments],
            cwd=self._airflow.home,
            env=self._airflow.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        (self._airflow.logs / "last-command.log").write_text(done.stdout + done.stderr)
        return done.stdout if done.returncode == 0 else None

    def trigger(self, dag_id: str, conf: object = None) -> None:
        """Start a run of a DAG, as soon as the DAG is parsed. The id of the run is ``run``."""
        arguments = ("dags", "trigger", dag_id, "--run-id", "run", "--conf", json.dumps(conf or {}))
        wait_until("the DAG to be triggered", lambda: self(*arguments) is not None, timeout=120)

    def clear(self, dag_id: str, *task_ids: str) -> None:
        """Clear tasks of the run, as a person does."""
        if hasattr(self._airflow, "api") and HAS_API_SERVER:
            # The command of Airflow 3 does not find a run without a logical date.
            self._airflow.api.clear(dag_id, "run", *task_ids)
            return
        regex = "|".join(f"^{task_id}$" for task_id in task_ids)
        if self("tasks", "clear", dag_id, "--task-regex", regex, "--yes") is None:
            raise RuntimeError("the tasks could not be cleared")

    def final_states(self, dag_id: str) -> dict[str, str]:
        """Wait for the end of all tasks of the run, and return their states. Mapped tasks have an index."""

        def states() -> dict[str, str] | None:
            if (listed := self("tasks", "states-for-dag-run", dag_id, "run", "--output", "json")) is None:
                return None
            found = {}
            for task in json.loads(listed[listed.index("[{") :]):
                index = str(task.get("map_index", ""))
                found[f"{task['task_id']}[{index}]" if index.isdigit() else task["task_id"]] = task["state"]
            return found if found and set(found.values()) <= FINAL_STATES else None

        return wait_until("the run to end", states, timeout=400, interval=3)
