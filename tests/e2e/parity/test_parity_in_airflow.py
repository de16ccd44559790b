# SPDX-License-Identifier: Apache-2.0
"""Whatever a vendor does: the same state, error, result and retries in every mode, in a real Airflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.parity.operator_tasks import OPERATOR_TASKS
from tests.support.behaviors import BEHAVIORS, FLAGS, MODES, Behavior, Ending, dag_id_of, import_id_of
from tools.local_airflow import LocalAirflow

#: The state of a task, the number of its tries and the name of the error that it failed with.
Outcome = tuple[str, int, str | None]


@dataclass(frozen=True)
class EndedRun:
    """
    The run of a behavior's DAG, which has ended.

    :param airflow: The Airflow.
    :param dag_id: The id of the DAG.
    :param run_id: The id of the run.
    :param tasks: Its task instances by the id of the task.
    """

    airflow: LocalAirflow
    dag_id: str
    run_id: str
    tasks: Mapping[str, Any]

    def outcome(self, task_id: str, behavior: Behavior, import_id: str) -> Outcome:
        """Return the outcome of a task, whose log has the words of the behavior and whose XCom is right."""
        api, task = self.airflow.api, self.tasks[task_id]
        log = "\n".join(api.task_log(self.dag_id, self.run_id, task_id, try_number=task["try_number"]))
        assert behavior.words in log, task_id
        if behavior.ending is Ending.PASSED:
            result = api.xcom(self.dag_id, self.run_id, task_id)
            assert (result["import_id"], result["state"]) == (import_id, "succeeded")
        raised = re.findall(r"^(\w+(?:Error|Exception|Timeout)): ", log, re.MULTILINE)
        return task["state"], task["try_number"], raised[-1] if raised and task["state"] == "failed" else None


def expected(behavior: Behavior, flag: str) -> Outcome:
    """Return the outcome of a task that meets a behavior."""
    state, is_retried, error = behavior.outcome(flag)
    return state, 2 if is_retried else 1, error.__name__ if error and state == "failed" else None


@pytest.fixture(params=BEHAVIORS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each behavior."""
    return str(request.param)


@pytest.fixture
def run(airflow: LocalAirflow, runs: Mapping[str, str], name: str) -> EndedRun:
    """The run of a behavior's DAG, once it has ended."""
    dag_id, run_id = dag_id_of(name), runs[name]
    airflow.api.wait_for_run(dag_id, run_id, timeout=1800)
    tasks = {task["task_id"]: task for task in airflow.api.task_instances(dag_id, run_id)}
    return EndedRun(airflow, dag_id, run_id, tasks)


def test_the_outcome_is_the_same_in_every_mode(run: EndedRun, name: str) -> None:
    behavior, found, right = BEHAVIORS[name], {}, {}
    for flag in FLAGS:
        for mode in MODES:
            task_id = f"{mode}-{flag}"
            right[task_id] = expected(behavior, flag)
            found[task_id] = run.outcome(task_id, behavior, import_id_of(name, mode, flag))
    assert found == right


def test_operators_start_one_import_and_end_as_sensors_do(
    run: EndedRun, name: str, sandboxes: Mapping[str, Sandbox]
) -> None:
    found, right = {}, {}
    for task in OPERATOR_TASKS:
        if task.name == name:
            imports = [
                import_["import_id"]
                for import_ in sandboxes[task.import_id].imports()
                if task.import_id in (import_["file_name"] or "")
            ]
            right[task.task_id] = expected(task.behavior, task.flag), [task.import_id]
            found[task.task_id] = run.outcome(task.task_id, task.behavior, task.import_id), imports
    assert found == right
