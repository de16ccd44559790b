# SPDX-License-Identifier: Apache-2.0
"""Whatever a vendor does: the same state, error, result and retries in every mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_import_progress.compat import waits_without_workers
from tests.support.behaviors import BEHAVIORS, FLAGS, LIMITED_CONN_ID, MODES, Ending, import_id_of
from tests.support.sensors import TaskInstance, a_dag, wait_to_the_end

RETRIES = 2
RETRY_DELAY = 300
# Long enough for what a rescheduled sensor counts over all its tries.
TIMEOUT = 6 * 3600


@dataclass
class Outcome:
    """What is left of a task."""

    state: str
    retries: int
    error: type[Exception] | None
    message: str
    xcom: dict[str, Any] | None


def run_task(sensor, mode, clock):
    """Run a task with its retries, by Airflow's rules for what may be retried."""
    ti, tries = TaskInstance(clock), 0
    while True:
        tries += 1
        try:
            return Outcome("success", tries - 1, None, "", wait_to_the_end(sensor, mode, clock, ti))
        except AirflowSkipException as skipped:
            return Outcome("skipped", tries - 1, type(skipped), str(skipped), None)
        except Exception as error:
            is_final = isinstance(error, AirflowFailException | AirflowSensorTimeout)
            if is_final or tries > RETRIES:
                return Outcome("failed", tries - 1, type(error), str(error), None)
            clock.now += RETRY_DELAY


@pytest.fixture
def outcomes(sandbox, connect_to, clock):
    """Return a function that runs a sensor against a behavior in each mode, and gives what comes of it by mode."""
    connect_to("lucca", LIMITED_CONN_ID)
    connect_to("leadsy")
    connect_to("rocketchat")
    connect_to("zilliz", extra={"api_version": "v2"})

    def outcomes(behavior, import_id, flag):
        by_mode = {}
        for mode in MODES:
            if mode == "without_workers" and not waits_without_workers():
                continue
            sandbox.reset()
            behavior.begin(sandbox, import_id)
            with a_dag():
                sensor = behavior.sensor(import_id, mode, flag, task_id="wait", poke_interval=300, timeout=TIMEOUT)
            by_mode[mode] = run_task(sensor, mode, clock)
        return by_mode

    return outcomes


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("name", BEHAVIORS)
def test_what_comes_of_it_is_right_and_the_same_in_every_mode(outcomes, name, flag):
    behavior, import_id = BEHAVIORS[name], import_id_of(name, "poke", flag)
    found = outcomes(behavior, import_id, flag)
    outcome = found["poke"]
    state, is_retried, error = behavior.outcome(flag)
    assert (outcome.state, outcome.retries, outcome.error) == (state, RETRIES if is_retried else 0, error)
    assert behavior.words in outcome.message
    if state == "skipped":
        assert outcome.message.startswith(f"Skipped because {flag}=True: ")
    if behavior.ending is Ending.PASSED:
        assert (outcome.xcom["import_id"], outcome.xcom["state"]) == (import_id, "succeeded")
    else:
        assert outcome.xcom is None
    assert found == dict.fromkeys(found, outcome)
