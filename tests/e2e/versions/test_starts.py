# SPDX-License-Identifier: Apache-2.0
"""The promise to start an import only once, with every version of Airflow: the processes of tasks are really killed."""

from __future__ import annotations

import pytest

from airflow_import_progress.compat.stored import publishes_progress
from tests.e2e.versions.airflow_command import HAS_API_SERVER
from tests.e2e.versions.dags.start_specs import HAS_ALL_TASKS, task_ids
from tests.e2e.versions.start_scenario import StartOutcomes
from tests.e2e.versions.start_vendors import StartVendors
from tests.e2e.versions.task_logs import last_error_log
from tools.local_airflow import LocalAirflow

#: The tasks of which nobody can find out whether their import was started, and the imports that really were.
UNKNOWN = {
    "leaves_before_request": 0,
    "leaves_during_request": 1,
    "leaves_after_answer": 1,
    "leaves_lost_answer": 1,
    "locations_after_answer": 1,
    "zilliz_v1_before_request": 0,
}
#: The other tasks that are killed: they know their import, or their vendors can be searched for it.
RECOVERED = [task for task in task_ids("") if task not in UNKNOWN]
NOT_KILLED = ["leaves_good", "leaves_mapped[0]", "leaves_mapped[1]"]
UNKNOWN_HERE = [task for task in UNKNOWN if HAS_ALL_TASKS or task in task_ids("")]

#: Airflow 3.0 fails a task whose process was killed, and does not retry it.
RETRIES_KILLED_TASKS = not HAS_API_SERVER or publishes_progress()

needs_retries = pytest.mark.skipif(not RETRIES_KILLED_TASKS, reason="Airflow 3.0 does not retry a killed task")
needs_all_tasks = pytest.mark.skipif(not HAS_ALL_TASKS, reason="this Airflow has only some of the tasks")


@needs_retries
@pytest.mark.parametrize("task", RECOVERED)
def test_a_task_waits_for_the_import_that_it_started_whenever_it_was_killed(
    start_outcomes: StartOutcomes, task: str
) -> None:
    assert (start_outcomes.killed.states[task], start_outcomes.killed.imports[task]) == ("success", 1)


@needs_all_tasks
@pytest.mark.parametrize("task", NOT_KILLED)
def test_a_task_that_is_not_killed_starts_one_import(start_outcomes: StartOutcomes, task: str) -> None:
    assert (start_outcomes.killed.states[task], start_outcomes.killed.imports[task]) == ("success", 1)


@pytest.mark.parametrize("task", task_ids("rocketchat_file", "rocketchat_users"))
def test_the_records_of_an_operation_are_imported_once(
    start_outcomes: StartOutcomes, start_vendors: StartVendors, task: str
) -> None:
    assert start_outcomes.killed.states[task] == "success"
    assert start_vendors.runs(task) == 1


@pytest.mark.parametrize("task", UNKNOWN_HERE)
def test_a_start_whose_answer_was_lost_fails_the_task_and_is_not_repeated(
    airflow: LocalAirflow, start_outcomes: StartOutcomes, task: str
) -> None:
    assert (start_outcomes.killed.states[task], start_outcomes.killed.imports[task]) == ("failed", UNKNOWN[task])
    assert "ImportStartUnknownError" in last_error_log(airflow, "starts", task)


@pytest.mark.skipif(RETRIES_KILLED_TASKS, reason="this Airflow retries a killed task by itself")
@pytest.mark.parametrize("task", task_ids(""))
def test_clearing_a_killed_task_takes_the_place_of_its_retry(start_outcomes: StartOutcomes, task: str) -> None:
    expected = ("failed", UNKNOWN[task]) if task in UNKNOWN else ("success", 1)
    assert (start_outcomes.at_end.states[task], start_outcomes.at_end.imports[task]) == expected


@needs_retries
@pytest.mark.parametrize("task", UNKNOWN_HERE)
def test_clearing_it_starts_one_import(start_outcomes: StartOutcomes, task: str) -> None:
    at_end = start_outcomes.at_end
    assert (at_end.states[task], at_end.imports[task]) == ("success", UNKNOWN[task] + 1)


@needs_all_tasks
def test_a_refused_start_fails_at_once_with_the_vendors_words(
    airflow: LocalAirflow, start_outcomes: StartOutcomes
) -> None:
    killed = start_outcomes.killed
    assert (killed.states["leaves_refused"], killed.imports["leaves_refused"]) == ("failed", 0)
    log = last_error_log(airflow, "starts", "leaves_refused")
    assert "ImportStartRefusedError" in log
    assert "no column accountId" in log


@needs_all_tasks
def test_an_import_that_fails_fails_the_task(start_outcomes: StartOutcomes) -> None:
    killed = start_outcomes.killed
    assert (killed.states["leaves_bad"], killed.imports["leaves_bad"]) == ("failed", 1)


@needs_all_tasks
@pytest.mark.parametrize("task", ["leaves_good", "leaves_bad"])
def test_clearing_a_task_after_the_end_of_its_import_starts_another_one(
    start_outcomes: StartOutcomes, task: str
) -> None:
    assert start_outcomes.at_end.states[task] == start_outcomes.killed.states[task]
    assert start_outcomes.at_end.imports[task] == 2


def test_no_task_is_green_without_an_import(start_outcomes: StartOutcomes) -> None:
    for outcome in (start_outcomes.killed, start_outcomes.at_end):
        assert all(outcome.imports[task] for task, state in outcome.states.items() if state == "success")
