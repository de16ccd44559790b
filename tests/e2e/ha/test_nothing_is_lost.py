# SPDX-License-Identifier: Apache-2.0
"""No wait is lost and no wait ends twice, although components and vendors fail while forty waits are under way."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.e2e.ha.dags.wait_specs import CLEARED, MARKED_FAILED, TOO_LONG, WAITS, WaitSpec
from tests.e2e.ha.failure_scenario import Outcome
from tools.airflow_api import FINAL_TASK_STATES

#: How long the import of a wait may be polled after the wait was marked failed, until its triggerer has noticed.
GRACE = timedelta(seconds=30)
#: How much longer than its timeout a wait may last: a dead triggerer is detected after 30 s, and a worker ends it.
MARGIN = 90

GOOD = [wait for wait in WAITS if wait.ending == "good"]
FAILING = [wait for wait in WAITS if wait.ending == "failing"]
#: The waits that were in a triggerer from the first failure to the last.
HELD = [wait for wait in WAITS if wait.is_held and wait.mode != "rescheduled"]


def each(waits: list[WaitSpec] | tuple[WaitSpec, ...]) -> pytest.MarkDecorator:
    """Run a test for each of these waits."""
    return pytest.mark.parametrize("wait", waits, ids=lambda wait: wait.name)


@each(GOOD)
def test_a_good_import_passes_with_its_own_progress(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.states(wait) == ("success", "success")
    progress = outcome.xcom(wait)
    assert (progress["import_id"], progress["state"]) == (outcome.vendors.import_ids[wait.name], "succeeded")


@each([wait for wait in GOOD if wait != CLEARED])
def test_a_good_import_spends_no_retry(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.tries(wait) == ["success"]


@each(GOOD)
def test_the_task_behind_a_good_import_runs_once(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.next_steps_of(wait) == 1


@each(FAILING)
def test_a_failed_import_fails_once_and_spends_no_retry(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.states(wait) == ("failed", "upstream_failed")
    assert outcome.tries(wait) == ["failed"]
    (error,) = [line for line in outcome.log(wait) if line.startswith("ImportFailedError: ")]
    assert outcome.vendors.import_ids[wait.name] in error


@each([*FAILING, *TOO_LONG, MARKED_FAILED])
def test_the_task_behind_a_wait_that_failed_does_not_run(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.next_steps_of(wait) == 0


def test_a_wait_that_was_cleared_begins_anew_and_passes(outcome: Outcome) -> None:
    # Airflow records a try that was cleared while it waited as failed.
    assert outcome.tries(CLEARED) == ["failed", "success"]


def test_a_wait_that_was_marked_failed_stays_failed(outcome: Outcome) -> None:
    assert outcome.states(MARKED_FAILED) == ("failed", "upstream_failed")
    assert outcome.tries(MARKED_FAILED) == ["failed"]


def test_a_wait_that_was_marked_failed_is_not_polled(outcome: Outcome) -> None:
    last_request = outcome.vendors.requests(MARKED_FAILED)[-1]["at"]
    assert last_request < (outcome.marked_at + GRACE).timestamp()
    assert outcome.ended_at(CLEARED) > outcome.marked_at + GRACE, "it was over too soon to tell"


@each(TOO_LONG)
def test_no_wait_outlives_its_timeout(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.states(wait) == ("failed", "upstream_failed")
    assert outcome.tries(wait) == ["failed"]
    assert [line for line in outcome.log(wait) if line.startswith("AirflowSensorTimeout: ")] != []
    first_request = outcome.vendors.requests(wait)[0]["at"]
    assert outcome.ended_at(wait).timestamp() - first_request < wait.timeout + MARGIN


def test_no_wait_is_lost(outcome: Outcome) -> None:
    assert outcome.tasks.keys() == {
        "uploads",
        *(wait.task_id for wait in WAITS),
        *(wait.next_task_id for wait in WAITS),
    }
    assert [task for task, instance in outcome.tasks.items() if instance["state"] not in FINAL_TASK_STATES] == []


# Not a wait without workers that ends during the failures: a triggerer that dies right after the event leaves it to the
# other one to fire it again. Its task has succeeded and the next one has run once, as tested above.
@each([wait for wait in WAITS if wait != MARKED_FAILED and (wait.is_held or wait.mode != "without_workers")])
def test_a_wait_ends_once(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.ends(wait) == 1


@each(HELD)
def test_a_trigger_fires_once(outcome: Outcome, wait: WaitSpec) -> None:
    assert outcome.events(wait) == 1


# The tests below check that the failures did happen.


def test_the_vendors_refused_requests_above_their_limits(outcome: Outcome) -> None:
    # Not of the held ones, whose answers are scripted.
    statuses = {request["status"] for wait in WAITS if not wait.is_held for request in outcome.vendors.requests(wait)}
    assert 429 in statuses


@each([wait for wait in HELD if wait != CLEARED])
def test_the_wait_was_in_more_than_one_triggerer(outcome: Outcome, wait: WaitSpec) -> None:
    starts = [line for line in outcome.log(wait) if line.startswith("trigger ") and line.endswith(" starting")]
    assert len(starts) > 1


def test_the_vendors_refused_connections(outcome: Outcome) -> None:
    assert any("the connection was refused" in line for wait in HELD for line in outcome.log(wait))


@each(HELD)
def test_the_last_poll_used_the_new_key(outcome: Outcome, wait: WaitSpec) -> None:
    last_request = outcome.vendors.requests(wait)[-1]
    assert last_request["authorized"]
    assert datetime.fromtimestamp(last_request["at"], outcome.replaced_at.tzinfo) > outcome.replaced_at


def test_the_vendors_refused_the_old_keys(outcome: Outcome) -> None:
    assert any(not request["authorized"] for wait in HELD for request in outcome.vendors.requests(wait))
