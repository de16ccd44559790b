# SPDX-License-Identifier: Apache-2.0
"""The promise to start an import only once, with every version of Airflow: the processes of tasks are really killed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from airflow_import_progress.compat import has_task_state_store
from airflow_import_progress.sandbox import Sandbox
from tests.e2e.versions.airflow_command import HAS_API_SERVER, AirflowCommand
from tools.local_airflow import LocalAirflow

#: The tasks whose first try is killed after the start was recorded, and tasks that are not killed.
RECOVERED = (
    *("while_waiting", "before_end", "after_end", "poke_while_waiting", "never", "mapped[0]", "mapped[1]"),
    # Their vendors can be searched for the import.
    *("rocketchat_before_request", "rocketchat_after_answer", "rocketchat_before_end"),
    *("zilliz_after_answer", "zilliz_before_end"),
)
#: The tasks of which nobody can find out whether their import was started, and the imports that really were.
UNKNOWN = {"before_request": 0, "during_request": 1, "after_answer": 1, "lost_answer": 1, "zilliz_before_request": 0}

pytestmark = pytest.mark.skipif(
    HAS_API_SERVER and not has_task_state_store(),
    reason="the oldest and the newest Airflow keep the record differently",
)


@dataclass
class Outcome:
    """The states of the tasks, and the number of imports by task."""

    states: dict[str, str]
    imports: Counter[str]


@pytest.fixture(scope="session")
def outcome_of(
    command: AirflowCommand, sandbox: Sandbox, faulty_sandboxes: dict[str, Sandbox], workspaces: dict[str, Sandbox]
) -> dict[str, Outcome]:
    """The outcome of the run, and that after all failed tasks were cleared."""

    def outcome() -> Outcome:
        states = command.final_states("starts")
        imports = Counter[str]()
        for running in (sandbox, *faulty_sandboxes.values()):
            for import_ in running.imports():
                name = str(import_["file_name"]).rpartition("/")[2].partition(".")[0]
                if import_["vendor"] == "zilliz":
                    name = f"zilliz_{name}"
                imports[f"mapped[{name[-1]}]" if name.startswith("mapped") else name] += 1
        for point, running in workspaces.items():
            imports[f"rocketchat_{point}"] = len(running.imports())
        return Outcome(states, imports)

    command.trigger("starts")
    first = outcome()
    command.clear("starts", *(name for name, state in first.states.items() if state == "failed"))
    return {"first": first, "cleared": outcome()}


@pytest.fixture(scope="session")
def first(outcome_of: dict[str, Outcome]) -> Outcome:
    """The outcome of the run."""
    return outcome_of["first"]


@pytest.fixture(scope="session")
def cleared(outcome_of: dict[str, Outcome]) -> Outcome:
    """The outcome after all failed tasks were cleared."""
    return outcome_of["cleared"]


@pytest.mark.parametrize("task", RECOVERED)
def test_a_task_waits_for_the_import_that_it_started_whenever_it_was_killed(first: Outcome, task: str) -> None:
    assert (first.states[task], first.imports[task]) == ("success", 1)


@pytest.mark.parametrize("task", UNKNOWN)
def test_a_start_whose_answer_was_lost_fails_the_task_and_is_not_repeated(
    airflow: LocalAirflow, first: Outcome, task: str
) -> None:
    assert (first.states[task], first.imports[task]) == ("failed", UNKNOWN[task])
    assert "ImportStartUnknownError" in last_log(airflow, task)


@pytest.mark.parametrize("task", UNKNOWN)
def test_clearing_it_starts_one_import(cleared: Outcome, task: str) -> None:
    assert (cleared.states[task], cleared.imports[task]) == ("success", UNKNOWN[task] + 1)


def test_a_refused_start_fails_at_once_with_the_vendors_words(airflow: LocalAirflow, first: Outcome) -> None:
    assert (first.states["refused"], first.imports["refused"]) == ("failed", 0)
    log = last_log(airflow, "refused")
    assert "ImportStartRefusedError" in log
    assert "no column accountId" in log


def test_an_import_that_fails_fails_the_task(first: Outcome) -> None:
    assert (first.states["failed"], first.imports["failed"]) == ("failed", 1)


def test_clearing_it_starts_another_import(cleared: Outcome) -> None:
    assert cleared.imports["failed"] == 2


def test_no_task_is_green_without_an_import(first: Outcome, cleared: Outcome) -> None:
    for outcome in (first, cleared):
        assert all(outcome.imports[task] for task, state in outcome.states.items() if state == "success")


def last_log(airflow: LocalAirflow, task: str) -> str:
    """Return the log of the last try before the task was cleared."""
    folder = airflow.home / "logs/dag_id=starts/run_id=run" / f"task_id={task}"
    logs = [log.read_text() for log in sorted(folder.glob("attempt=*.log"))]
    return next(log for log in reversed(logs) if "Import" in log and "Error" in log)
