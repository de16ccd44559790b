# SPDX-License-Identifier: Apache-2.0
"""Whatever a vendor does: the same state, error, result and retries in every mode, of sensors and operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_import_progress.compat import waits_without_workers
from tests.support.behaviors import (
    BEHAVIORS,
    FLAGS,
    LIMITED_CONN_ID,
    MODES,
    MORE_OPERATOR_BEHAVIORS,
    OPERATOR_BEHAVIORS,
    OPERATOR_MODES,
    STARTS,
    Ending,
)
from tests.support.operators import OperatorTask
from tests.support.sensors import TaskInstance, a_dag, wait_to_the_end

RETRIES = 2
RETRY_DELAY = 300
# Long enough for what a rescheduled sensor counts over all its tries.
TIMEOUT = 6 * 3600
ARGUMENTS = {"poke_interval": 300, "timeout": TIMEOUT}

IMPORT_ID = "451893607800"
ALL_OPERATOR_BEHAVIORS = {**OPERATOR_BEHAVIORS, **MORE_OPERATOR_BEHAVIORS}


@dataclass
class Outcome:
    """What is left of a task."""

    state: str
    retries: int
    error: type[Exception] | None
    message: str
    xcom: dict[str, Any] | None


def run_task(run_try: Callable[[], dict[str, Any]], clock):
    """Run a task with its retries, by Airflow's rules for what may be retried."""
    tries = 0
    while True:
        tries += 1
        try:
            # The sandbox has created the import at another time in each run.
            return Outcome("success", tries - 1, None, "", {**run_try(), "started_at": None})
        except AirflowSkipException as skipped:
            return Outcome("skipped", tries - 1, type(skipped), str(skipped), None)
        except Exception as error:
            is_final = isinstance(error, AirflowFailException | AirflowSensorTimeout)
            if is_final or tries > RETRIES:
                return Outcome("failed", tries - 1, type(error), str(error), None)
            clock.now += RETRY_DELAY


@pytest.fixture
def vendors(sandbox, connect_to):
    """The sandbox, with connections to all vendors."""
    connect_to("lucca", LIMITED_CONN_ID)
    connect_to("leadsy")
    connect_to("rocketchat")
    connect_to("zilliz", extra={"api_version": "v2"})
    return sandbox


@pytest.fixture
def outcome_of_sensor(vendors, clock):
    """Return a function that runs a sensor against a behavior, and returns its outcome."""

    def outcome_of_sensor(behavior, mode, flag):
        vendors.reset()
        behavior.begin(vendors, IMPORT_ID)
        with a_dag():
            sensor = behavior.sensor(IMPORT_ID, mode, flag, task_id="wait", **ARGUMENTS)
        return run_task(partial(wait_to_the_end, sensor, mode, clock, TaskInstance(clock)), clock)

    return outcome_of_sensor


@pytest.fixture
def outcome_of_operator(vendors, clock, variables, tmp_path):
    """Return a function that runs an operator against a behavior, and returns its outcome and the imports."""

    def outcome_of_operator(behavior, mode, flag):
        vendors.reset()
        variables.clear()
        behavior.begin_when_started(vendors, IMPORT_ID)
        arguments = behavior.operator_arguments(behavior.write_file(tmp_path, IMPORT_ID), flag)
        operator_class = STARTS[behavior.imported].operator_class
        task = OperatorTask(clock, variables, mode, operator_class, **ARGUMENTS, **arguments)
        return run_task(task.run, clock), [import_["import_id"] for import_ in vendors.imports()]

    return outcome_of_operator


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("name", BEHAVIORS)
def test_what_comes_of_it_is_right_and_the_same_in_every_mode(outcome_of_sensor, name, flag):
    behavior = BEHAVIORS[name]
    modes = [mode for mode in MODES if mode != "without_workers" or waits_without_workers()]
    found = {mode: outcome_of_sensor(behavior, mode, flag) for mode in modes}
    check(found["poke"], behavior, flag)
    assert found == dict.fromkeys(modes, found["poke"])


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("name", ALL_OPERATOR_BEHAVIORS)
def test_an_operator_starts_one_import_and_ends_as_a_sensor_in_every_mode(
    outcome_of_sensor, outcome_of_operator, name, flag
):
    behavior = ALL_OPERATOR_BEHAVIORS[name]
    of_sensor = outcome_of_sensor(behavior, "poke", flag)
    check(of_sensor, behavior, flag)
    found = {mode: outcome_of_operator(behavior, mode, flag) for mode in OPERATOR_MODES}
    assert found == dict.fromkeys(OPERATOR_MODES, (of_sensor, [IMPORT_ID]))


def check(outcome, behavior, flag):
    """Check that an outcome is the one of a behavior with a flag."""
    state, is_retried, error = behavior.outcome(flag)
    assert (outcome.state, outcome.retries, outcome.error) == (state, RETRIES if is_retried else 0, error)
    assert behavior.words in outcome.message
    if state == "skipped":
        assert outcome.message.startswith(f"Skipped because {flag}=True: ")
    if behavior.ending is Ending.PASSED:
        assert (outcome.xcom["import_id"], outcome.xcom["state"]) == (IMPORT_ID, "succeeded")
    else:
        assert outcome.xcom is None
