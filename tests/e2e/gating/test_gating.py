# SPDX-License-Identifier: Apache-2.0
"""
What a user may rely on, seen from outside: states, XComs and logs through Airflow's own REST API.

A script such as ``answers(10, 100)`` is what the vendor says at the first, second, ... poll; the last answer
stays. Lucca says a percentage, and -1 for a failed import; what the other vendors say is made by functions.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.gating.scenarios import WRONG_API_KEY, Run
from tools.examples import EXAMPLE_DAG_IDS, connections_to
from tools.local_airflow import LocalAirflow
from tools.postgres import Postgres

PASSED = {"wait": "success", "next_step": "success"}
STOPPED = {"wait": "failed", "next_step": "upstream_failed"}
SKIPPED = {"wait": "skipped", "next_step": "skipped"}

OUTAGE = {"status": 503, "body": "Service Unavailable"}
NO_FAULT = {"delay": 0}


def answers(*progress: object) -> dict[str, object]:
    """Return the script of an import of which the vendor says this, poll by poll."""
    return {"answers": list(progress)}


scenario = pytest.mark.scenario


@scenario("deferred", answers(0, 40, 100))
class TestGoodImport:
    """An import that succeeds."""

    def test_the_next_task_runs(self, run: Run) -> None:
        assert run.ended() == PASSED

    def test_the_wait_was_deferred(self, run: Run) -> None:
        run.ended()
        assert run.was_deferred()

    def test_the_next_task_gets_the_progress(self, run: Run) -> None:
        run.ended()
        progress = run.xcom("next_step")
        assert progress == run.xcom("wait")
        assert {key: progress[key] for key in ("import_id", "state", "percent", "vendor_status")} == {
            "import_id": run.import_id,
            "state": "succeeded",
            "percent": 100.0,
            "vendor_status": 100,
        }
        assert set(progress) == {
            *("import_id", "state", "percent", "total", "processed", "failed", "imported"),
            *("vendor_status", "message", "started_at", "finished_at", "warning", "details"),
        }

    def test_the_log_shows_progress_bars(self, run: Run) -> None:
        run.ended()
        assert re.search(r"^\[########------------\] 40 % · running", run.log(), re.MULTILINE)
        assert re.search(r"^\[####################\] 100 % · succeeded", run.log(), re.MULTILINE)


@scenario("deferred", answers(10, -1))
class TestFailedImport:
    """An import that fails while it is waited for."""

    def test_the_next_task_does_not_run(self, run: Run) -> None:
        assert run.ended() == STOPPED

    def test_no_retry_is_spent(self, run: Run) -> None:
        run.ended()
        assert run.tries() == 1

    def test_the_log_says_what_failed_and_where(self, run: Run) -> None:
        run.ended()
        (error,) = re.findall(r"^ImportFailedError: .*", run.log(), re.MULTILINE)
        assert run.import_id in error
        assert "'lucca_default'" in error
        assert "failed at the vendor (status -1)" in error


def locations(progress: int) -> object:
    """Return what Lucca says of an import of user locations."""
    return {"progress": progress}


def step(name: str) -> object:
    """Return what Rocket.Chat says of its import."""
    count = {"completed": 50, "total": 128, "error": 0}
    return {"key": "csv", "name": "CSV", "step": name, "count": count, "success": True}


def fraction(ready: float, error: str | None = None) -> object:
    """Return what version 1 of Zilliz's API says of a job."""
    completed = "2026-11-22T06:51:49Z" if ready == 1 else None
    data = {"readyPercentage": ready, "completeTime": completed, "errorMessage": error, "details": []}
    return {"code": 200, "data": data}


def job(state: str, progress: int, reason: str = "") -> object:
    """Return what Milvus says of a job."""
    return {"code": 0, "data": {"state": state, "progress": progress, "reason": reason, "details": []}}


def leads(status: str, failed: int = 0) -> object:
    """Return what Leadsy says of an import."""
    records = {"total_records": 500, "processed_records": 500, "failed_records": failed}
    return {"import_file": {"status": 1, "status_name": status, **records}}


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(100, marks=scenario("user_locations", answers(locations(43), locations(100)))),
        pytest.param(
            "importer_done",
            marks=scenario("rocketchat", answers(step("importer_importing_users"), step("importer_done"))),
        ),
        pytest.param(1.0, marks=scenario("zilliz", answers(fraction(0.5), fraction(1)))),
        pytest.param("Completed", marks=scenario("milvus", answers(job("Importing", 62), job("Completed", 100)))),
        pytest.param("completed", marks=scenario("leadsy", answers(leads("processing"), leads("completed", failed=2)))),
    ],
)
def test_a_good_import_of_every_vendor_passes(run: Run, status: object) -> None:
    assert run.ended() == PASSED
    progress = run.xcom("next_step")
    assert (progress["state"], progress["percent"], progress["vendor_status"]) == ("succeeded", 100.0, status)
    assert run.was_deferred()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            "failed at the vendor (status -1)", marks=scenario("user_locations", answers(locations(43), locations(-1)))
        ),
        pytest.param(
            "failed at the vendor (status 'importer_import_failed')",
            marks=scenario(
                "rocketchat_of_a_second_workspace",
                answers(step("importer_importing_users"), step("importer_import_failed")),
            ),
        ),
        pytest.param(
            "failed at the vendor (status 0.5: file not found)",
            marks=scenario("zilliz", answers(fraction(0.5), fraction(0.5, "file not found"))),
        ),
        pytest.param(
            "failed at the vendor (status 'Failed': file not found)",
            marks=scenario("milvus", answers(job("Importing", 62), job("Failed", 0, "file not found"))),
        ),
        pytest.param(
            "failed at the vendor (status 'failed')",
            marks=scenario("leadsy", answers(leads("processing"), leads("failed"))),
        ),
        pytest.param(
            "ended with 3 failed records where max_failed_records allows 2",
            marks=scenario("leadsy", answers(leads("processing"), leads("completed", failed=3))),
        ),
    ],
)
def test_a_bad_import_of_every_vendor_is_stopped(run: Run, words: str) -> None:
    assert run.ended() == STOPPED
    assert run.tries() == 1
    (error,) = re.findall(r"^ImportFailedError: .*", run.log(), re.MULTILINE)
    assert words in error


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("poking", marks=scenario("poking", answers(10, 50, 100))),
        pytest.param("rescheduled", marks=scenario("rescheduled", answers(10, 100))),
    ],
)
def test_a_good_import_passes_without_a_triggerer_too(run: Run, mode: str) -> None:
    assert run.ended() == PASSED
    assert run.xcom("next_step")["state"] == "succeeded"
    assert not run.was_deferred()


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("poking", marks=scenario("poking", answers(10, -1))),
        pytest.param("rescheduled", marks=scenario("rescheduled", answers(10, -1))),
    ],
)
def test_a_failed_import_is_stopped_without_a_triggerer_too(run: Run, mode: str) -> None:
    assert run.ended() == STOPPED
    assert run.tries() == 1
    assert not run.was_deferred()


@scenario("deferred", answers(100))
def test_an_import_already_done_is_asked_for_once_and_not_deferred(run: Run) -> None:
    assert run.ended() == PASSED
    assert run.sandbox.request_count(run.import_id) == 1
    assert not run.was_deferred()


@scenario("deferred", answers(10, 20, 100), faults=((NO_FAULT, 2), (OUTAGE, 2)))
def test_an_outage_of_the_vendor_is_waited_out(run: Run) -> None:
    assert run.ended() == PASSED
    assert run.tries() == 1
    statuses = [request["status"] for request in run.sandbox.requests(run.import_id)]
    assert statuses == [200, 200, 503, 503, 200]
    assert "HTTP 503" in run.log()


@scenario("with_a_wrong_key", answers(10))
def test_a_wrong_api_key_is_named_as_the_reason(run: Run) -> None:
    assert run.ended() == STOPPED
    (error,) = re.findall(r"^ImportRequestError: .*", run.log(), re.MULTILINE)
    assert "'lucca_wrong_key'" in error
    assert "HTTP 401" in error
    assert "API key" in error


@scenario("impatient", answers(10))
def test_an_import_that_takes_too_long_ends_in_a_timeout(run: Run) -> None:
    assert run.ended() == STOPPED
    assert run.tries() == 1
    assert run.was_deferred()
    assert re.search(r"^AirflowSensorTimeout: .*not done within the timeout of 15 s", run.log(), re.MULTILINE)


@scenario("soft", answers(10, -1))
def test_soft_fail_makes_a_failed_import_a_skip(run: Run) -> None:
    assert run.ended() == SKIPPED


@scenario("mapped", answers(10, 100), answers(10, -1), answers(10, 50, 100))
def test_mapped_sensors_are_gated_one_by_one(run: Run) -> None:
    states = run.ended()
    assert [states[f"wait[{index}]"] for index in range(3)] == ["success", "failed", "success"]
    assert states["next_step"] == "upstream_failed"
    assert run.xcom(map_index=0)["import_id"] == run.import_ids[0]
    assert run.xcom(map_index=2)["import_id"] == run.import_ids[2]
    assert run.import_ids[1] in run.log(map_index=1)


def test_the_dags_have_no_import_errors(airflow: LocalAirflow) -> None:
    assert airflow.api.import_errors() == {}
    assert airflow.api.dag_ids() >= EXAMPLE_DAG_IDS


# The tests below disturb others' waits or look at all of them, so they come last.


# The vendor says 10 until the fault is cleared, and 100 from then on.
@scenario("deferred", answers(100), faults=(({"body": "10", "content_type": "application/json"}, None),))
def test_a_wait_survives_a_restart_of_the_triggerer(run: Run, runs: dict[int, Run]) -> None:
    for other in runs.values():
        if other is not run:
            other.ended()
    run.api.wait_for_task_state(run.dag_id, run.run_id, "wait", "deferred")

    run.airflow.stop("triggerer")
    polls_before_the_restart = run.sandbox.request_count(run.import_id)
    run.airflow.start("triggerer")
    run.sandbox.clear_faults()

    assert run.ended() == PASSED
    assert run.tries() == 1
    assert run.sandbox.request_count(run.import_id) > polls_before_the_restart
    assert run.log().count("Trigger fired event") == 1


def test_the_secrets_are_written_nowhere(
    airflow: LocalAirflow, database: Postgres, sandbox: Sandbox, runs: dict[int, Run]
) -> None:
    for run in runs.values():
        run.ended()
    secrets = [WRONG_API_KEY, *(str(connection["password"]) for connection in connections_to(sandbox).values())]
    for folder in (airflow.home, database.folder):
        # What is no secret is found there: it is the right place to look for those.
        assert files_with([run.import_ids[0] for run in runs.values()], folder) != []
        assert files_with(secrets, folder) == []


def files_with(texts: Iterable[str], folder: Path) -> list[Path]:
    """Return the files below a folder that have any of these texts."""
    wanted = re.compile(b"|".join(re.escape(text.encode()) for text in texts))
    found = []
    for file in folder.rglob("*"):
        # The database moves and removes files while it is looked at.
        with contextlib.suppress(FileNotFoundError):
            if file.is_file() and wanted.search(file.read_bytes()):
                found.append(file)
    return found
