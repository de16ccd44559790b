# SPDX-License-Identifier: Apache-2.0
"""What a wait publishes of its import while it waits: an XCom of its own, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.waiting.published import XCOM_KEY
from tests.e2e.gating.scenarios import Run, start
from tools.airflow_api import wait_until
from tools.local_airflow import LocalAirflow

#: The DAG of each mode, and the state of its sensor between two polls.
MODES = {
    "deferred": "deferred",
    "poking": "running",
    "rescheduled": "up_for_reschedule",
    "without_workers_xcom": "deferred",
}

in_each_mode = pytest.mark.parametrize("dag_id", MODES)

Published = dict[str, Any]


@pytest.fixture(scope="module")
def runs_in_each_mode(airflow: LocalAirflow, sandbox: Sandbox) -> dict[str, Run]:
    """A run in each mode, whose import stays at 40 %."""
    return {dag_id: start(airflow, sandbox, dag_id, {"answers": [20, 40]}) for dag_id in MODES}


@pytest.fixture(scope="module")
def halfway(runs_in_each_mode: dict[str, Run]) -> dict[str, Published]:
    """What is published once 40 % are."""

    def is_halfway(value: Published) -> bool:
        return (value.get("progress") or {}).get("percent") == 40.0

    return wait_until_published("40 %", runs_in_each_mode, is_halfway)


@pytest.fixture(scope="module")
def unanswered(runs_in_each_mode: dict[str, Run], halfway: dict[str, Published]) -> dict[str, Published]:
    """What is published once a poll did not get through."""
    for run in runs_in_each_mode.values():
        run.sandbox.add_fault({"status": 503, "body": "Service Unavailable"}, import_id=run.import_id, times=2)

    return wait_until_published("a failed poll", runs_in_each_mode, lambda value: bool(value.get("failures")))


@pytest.fixture(scope="module")
def over(runs_in_each_mode: dict[str, Run], unanswered: dict[str, Published]) -> dict[str, Published]:
    """What is published after the import has failed."""
    for run in runs_in_each_mode.values():
        run.sandbox.add_fault({"body": "-1", "content_type": "application/json"}, import_id=run.import_id, times=None)
    for run in runs_in_each_mode.values():
        run.ended()
    return {dag_id: published(run) for dag_id, run in runs_in_each_mode.items()}


def published(run: Run) -> dict[str, Any]:
    """Return what the sensor has published, or nothing."""
    try:
        value: dict[str, Any] = run.api.xcom(run.dag_id, run.run_id, "wait", XCOM_KEY)
    except requests.HTTPError:
        return {}
    return value


def wait_until_published(what: str, runs: dict[str, Run], is_it: Callable[[Published], bool]) -> dict[str, Published]:
    """Wait until each run has published this, and return what each published when it was seen first."""
    found: dict[str, Published] = {}

    def look() -> bool:
        for dag_id in runs.keys() - found.keys():
            value = published(runs[dag_id])
            if is_it(value):
                found[dag_id] = value
        return found.keys() == runs.keys()

    wait_until(f"{what} to be published", look, timeout=90)
    return found


@in_each_mode
def test_it_is_seen_while_the_task_waits(
    runs_in_each_mode: dict[str, Run], halfway: dict[str, Published], dag_id: str
) -> None:
    run, value = runs_in_each_mode[dag_id], halfway[dag_id]
    assert {key: value[key] for key in ("vendor", "label", "conn_id", "import_id", "try_number", "error")} == {
        "vendor": "Lucca",
        "label": "Lucca leave import",
        "conn_id": "lucca_default",
        "import_id": run.import_id,
        "try_number": 1,
        "error": None,
    }
    run.api.wait_for_task_state(run.dag_id, run.run_id, "wait", MODES[dag_id])


# Airflow clears what a rescheduled task has published before each of its pokes.
@pytest.mark.parametrize("dag_id", [dag_id for dag_id in MODES if dag_id != "rescheduled"])
def test_it_tells_what_was_seen_before(halfway: dict[str, Published], dag_id: str) -> None:
    assert sorted({percent for _, percent in halfway[dag_id]["history"]}) == [20.0, 40.0]


@in_each_mode
def test_a_vendor_that_does_not_answer_is_seen(unanswered: dict[str, Published], dag_id: str) -> None:
    assert "HTTP 503" in unanswered[dag_id]["error"]


@in_each_mode
def test_the_end_is_seen(over: dict[str, Published], dag_id: str) -> None:
    assert over[dag_id]["progress"]["state"] == "failed"
    assert "failed at the vendor (status -1)" in over[dag_id]["error"]
