# SPDX-License-Identifier: Apache-2.0
"""Waits without workers, in a real Airflow: that no worker is taken, and that nothing else changes."""

from __future__ import annotations

import re

import pytest
import requests

from tests.e2e.gating.scenarios import Run
from tools.airflow_api import wait_until

PASSED = {"wait": "success", "next_step": "success"}
GOOD = {"answers": [0, 40, 100]}

scenario = pytest.mark.scenario


def states(run: Run) -> dict[str, str]:
    """Wait for the end of the run, and return the states of the sensor and of the task after it."""
    return {task: state for task, state in run.ended().items() if not task.startswith("upload")}


def used_a_worker(run: Run, map_index: int = -1) -> bool:
    """Return whether a worker has run the sensor."""
    return bool(run.api.task(run.dag_id, run.run_id, "wait", map_index)["hostname"])


def assert_waited_without_a_worker(run: Run) -> None:
    run.ended()
    assert run.api.task(run.dag_id, run.run_id, "wait")["state"] == "success"
    assert not used_a_worker(run)
    progress = run.xcom("wait")
    assert isinstance(progress, dict)
    assert (progress["import_id"], progress["state"]) == (run.import_id, "succeeded")


@scenario("without_workers_xcom", GOOD)
def test_a_good_import_takes_no_worker(run: Run) -> None:
    assert states(run) == PASSED
    assert_waited_without_a_worker(run)


@scenario("without_workers_xcom", GOOD)
def test_the_next_task_gets_the_progress_as_a_dict(run: Run) -> None:
    run.ended()
    assert run.xcom("next_step") == run.xcom("wait")
    assert run.xcom("next_step")["import_id"] == run.import_id


@scenario("without_workers_xcom", GOOD)
def test_the_log_shows_progress_bars(run: Run) -> None:
    run.ended()
    assert re.search(r"^\[########------------\] 40 % · running", run.log(), re.MULTILINE)


@scenario("without_workers_xcom_with_key", GOOD)
def test_a_result_by_its_key_takes_no_worker(run: Run) -> None:
    assert states(run) == PASSED
    assert_waited_without_a_worker(run)


@scenario("without_workers_jinja_that_hangs", GOOD)
def test_a_template_that_the_triggerer_cannot_render_starts_on_a_worker_and_says_so(run: Run) -> None:
    run.ended()
    assert run.xcom("wait")["import_id"] == run.import_id
    assert used_a_worker(run)
    assert "start_from_trigger: the wait starts on a worker, because summary_id is a template" in run.log()


NATIVE_DAGS = ("without_workers_native", "without_workers_native_on_a_worker", "without_workers_native_template")


@pytest.mark.parametrize("dag_id", [pytest.param(dag_id, marks=scenario(dag_id, GOOD)) for dag_id in NATIVE_DAGS])
def test_an_identifier_stays_a_text_where_the_dag_renders_to_native_objects(run: Run, dag_id: str) -> None:
    assert run.dag_id == dag_id
    assert states(run) == {"wait": "failed", "next_step": "upstream_failed"}
    assert "Lucca leave import '2024_001'" in run.log()


@scenario("without_workers_jinja_params", GOOD)
def test_a_template_with_params_passes(run: Run) -> None:
    assert states(run) == PASSED
    assert run.xcom("wait")["import_id"] == run.import_id


@scenario("without_workers_mapped", GOOD)
def test_a_mapped_sensor_starts_on_a_worker(run: Run) -> None:
    run.ended()
    assert run.xcom("wait", map_index=0)["import_id"] == run.import_id
    assert used_a_worker(run, map_index=0)


@scenario("without_workers_xcom", {"answers": [10, -1]})
def test_a_failed_import_fails_on_a_worker_and_spends_no_retry(run: Run) -> None:
    assert states(run) == {"wait": "failed", "next_step": "upstream_failed"}
    assert run.tries() == 1
    assert re.search(r"^ImportFailedError: .*failed at the vendor \(status -1\)", run.log(), re.MULTILINE)


@scenario("without_workers_soft", {"answers": [10, -1]})
def test_a_failed_import_is_skipped_under_soft_fail(run: Run) -> None:
    assert states(run) == {"wait": "skipped", "next_step": "skipped"}


@scenario("without_workers_impatient", {"answers": [10]})
def test_a_wait_ends_at_its_timeout(run: Run) -> None:
    assert states(run) == {"wait": "failed", "next_step": "upstream_failed"}
    assert "not done within the timeout of 10 s" in run.log()


@scenario("without_workers_missing_xcom", GOOD)
def test_a_missing_result_fails_as_it_does_on_a_worker(run: Run) -> None:
    assert states(run) == {"wait": "failed", "next_step": "upstream_failed"}
    assert "summary_id" in run.log()
    assert "check that the upstream task returned it" in run.log()


@scenario("without_workers_missing_connection", GOOD)
def test_a_missing_connection_fails_at_once(run: Run) -> None:
    assert states(run) == {"wait": "failed", "next_step": "upstream_failed"}
    assert "Airflow does not find this connection" in run.log()


@scenario("without_workers_xcom", {"answers": [100]})
def test_what_is_cleared_and_then_fails_leaves_no_earlier_result(run: Run) -> None:
    assert states(run) == PASSED
    run.sandbox.add_fault({"body": "-1", "content_type": "application/json"}, import_id=run.import_id, times=None)
    run.api.clear(run.dag_id, run.run_id, "wait")
    wait_until(
        "the wait to fail", lambda: run.api.task(run.dag_id, run.run_id, "wait")["state"] == "failed", timeout=120
    )
    with pytest.raises(requests.HTTPError, match="404"):
        run.xcom("wait")
