# SPDX-License-Identifier: Apache-2.0
"""The promise to start an import only once, while people clear and mark tasks, and all of Airflow is restarted."""

from __future__ import annotations

import pytest

from tests.e2e.versions.dags.start_specs import ACTIONS, DURING_REQUEST, HAS_ALL_TASKS, WAITING
from tests.e2e.versions.start_scenario import StartOutcomes, waiting_state
from tests.e2e.versions.task_logs import last_error_log
from tools.local_airflow import LocalAirflow

pytestmark = pytest.mark.skipif(
    not HAS_ALL_TASKS, reason="the record of a start is the same with the oldest Airflow, which is tested"
)

#: Tasks that know their import, or whose vendor can be searched for it.
FOUND = (*WAITING, "zilliz_request")

each_action = pytest.mark.parametrize("action", ACTIONS)


@pytest.mark.parametrize("point", [*WAITING, *DURING_REQUEST])
def test_marking_a_task_failed_starts_nothing(start_outcomes: StartOutcomes, point: str) -> None:
    task = f"marked_{point}"
    assert (start_outcomes.marked.states[task], start_outcomes.marked.imports[task]) == ("failed", 1)


@pytest.mark.parametrize("action", ["cleared", "marked"])
@pytest.mark.parametrize("point", FOUND)
def test_a_task_that_is_cleared_waits_for_the_same_import_again(
    start_outcomes: StartOutcomes, action: str, point: str
) -> None:
    task = f"{action}_{point}"
    cleared = start_outcomes.cleared
    assert (cleared.states[task], cleared.imports[task]) == (waiting_state(point), 1)


@each_action
@pytest.mark.parametrize("point", FOUND)
def test_a_task_that_was_interrupted_succeeds_with_its_only_import(
    start_outcomes: StartOutcomes, action: str, point: str
) -> None:
    task = f"{action}_{point}"
    assert (start_outcomes.at_end.states[task], start_outcomes.at_end.imports[task]) == ("success", 1)


@each_action
def test_a_request_that_was_interrupted_is_not_repeated_and_fails_the_task(
    airflow: LocalAirflow, start_outcomes: StartOutcomes, action: str
) -> None:
    task = f"{action}_request"
    assert (start_outcomes.at_end.states[task], start_outcomes.at_end.imports[task]) == ("failed", 1)
    assert "ImportStartUnknownError" in last_error_log(airflow, action, task)
