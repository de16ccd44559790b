# SPDX-License-Identifier: Apache-2.0
"""Airflow's command line, its database and its log files, which all versions have in common."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy.pool import NullPool

from tools.airflow_api import FINAL_RUN_STATES, wait_until
from tools.local_airflow import LocalAirflow

# Airflow 2 has no API server.
HAS_API_SERVER = importlib.util.find_spec("airflow.sdk") is not None

_TASKS = sqlalchemy.text(
    "SELECT task_id, map_index, state, try_number FROM task_instance WHERE dag_id = :dag_id AND run_id = 'run'"
)
_RUN_STATE = sqlalchemy.text("SELECT state FROM dag_run WHERE dag_id = :dag_id AND run_id = 'run'")
# As the UI of Airflow 2 does, whose command line cannot.
_MARK_FAILED_IN_AIRFLOW_2 = """
import sys
from airflow.models import DagBag
from airflow.utils.state import TaskInstanceState
dag = DagBag(read_dags_from_db=True).get_dag(sys.argv[1])
for task_id in sys.argv[2:]:
    dag.set_task_instance_state(task_id=task_id, run_id="run", state=TaskInstanceState.FAILED)
"""


@dataclass(frozen=True)
class Task:
    """
    A task instance.

    :param state: Its state.
    :param try_number: The number of its last try.
    """

    state: str | None
    try_number: int


class AirflowCommand:
    """
    Run commands of an Airflow.

    :param airflow: The Airflow.
    """

    def __init__(self, airflow: LocalAirflow) -> None:
        self._airflow = airflow
        # Every connection is closed after its use.
        self._database = sqlalchemy.create_engine(
            airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], poolclass=NullPool
        )

    def __call__(self, *arguments: str) -> str | None:
        """Return the output of an Airflow command, or None if the command fails."""
        return self._run("-m", "airflow", *arguments)

    def trigger(self, dag_id: str, conf: object = None) -> None:
        """Start a run of a DAG, as soon as the DAG is parsed. The id of the run is ``run``."""
        arguments = ("dags", "trigger", dag_id, "--run-id", "run", "--conf", json.dumps(conf or {}))
        wait_until("the DAG to be triggered", lambda: self(*arguments) is not None, timeout=120)

    def clear(self, dag_id: str, *task_ids: str) -> None:
        """Clear tasks of the run, as a person does."""
        if HAS_API_SERVER:
            # The command of Airflow 3 does not find a run without a logical date.
            self._airflow.api.clear(dag_id, "run", *task_ids)
            return
        regex = "|".join(f"^{task_id}$" for task_id in task_ids)
        if self("tasks", "clear", dag_id, "--task-regex", regex, "--yes") is None:
            raise RuntimeError("the tasks could not be cleared")

    def mark_failed(self, dag_id: str, *task_ids: str) -> None:
        """Mark tasks of the run as failed, as a person does."""
        if HAS_API_SERVER:
            for task_id in task_ids:
                self._airflow.api.mark(dag_id, "run", task_id, "failed")
        elif self._run("-c", _MARK_FAILED_IN_AIRFLOW_2, dag_id, *task_ids) is None:
            raise RuntimeError("the tasks could not be marked")

    def tasks(self, dag_id: str) -> dict[str, Task]:
        """Return the tasks of the run. Mapped ones have an index."""
        return {
            f"{row.task_id}[{row.map_index}]" if row.map_index >= 0 else row.task_id: Task(row.state, row.try_number)
            for row in self._rows(_TASKS, dag_id)
        }

    def final_states(self, dag_id: str) -> dict[str, str | None]:
        """Wait for the end of the run, and return the states of its tasks. Mapped tasks have an index."""

        # Not for the end of the tasks: if they are cleared before the scheduler has ended the run, the run stays ended.
        def has_ended() -> bool:
            self._airflow.check_running()
            return self._rows(_RUN_STATE, dag_id)[0].state in FINAL_RUN_STATES

        wait_until(f"the run of {dag_id} to end", has_ended, timeout=400)
        return {name: task.state for name, task in self.tasks(dag_id).items()}

    def _rows(self, statement: Any, dag_id: str) -> list[Any]:
        # Not by a command: each would take seconds of the processors on which the tasks run.
        with self._database.connect() as connection:
            return list(connection.execute(statement, {"dag_id": dag_id}))

    def _run(self, *arguments: str) -> str | None:
        self._airflow.check_running()
        done = subprocess.run(  # noqa: S603
            [sys.executable, *arguments],
            cwd=self._airflow.home,
            env=self._airflow.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        (self._airflow.logs / "last-command.log").write_text(done.stdout + done.stderr)
        return done.stdout if done.returncode == 0 else None
