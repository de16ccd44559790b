# SPDX-License-Identifier: Apache-2.0
"""What a user may rely on with every version of Airflow: scheduler, triggerer and workers are real."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys

import psutil
import pytest

from airflow_import_progress.compat.stored import publishes_progress
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.waiting.published import PublishedProgress
from tests.e2e.versions.finished_run import FinishedRun
from tools.local_airflow import LocalAirflow

MODES = pytest.mark.parametrize("mode", ["deferred", "rescheduled"])


@MODES
def test_a_good_import_lets_the_next_task_run(run: FinishedRun, mode: str) -> None:
    assert run.states[f"wait_good_{mode}"] == "success"
    assert run.states[f"next_step_good_{mode}"] == "success"


@MODES
def test_the_next_task_gets_the_progress(run: FinishedRun, mode: str) -> None:
    progress = run.handed_on(f"good_{mode}")
    assert {key: progress[key] for key in ("import_id", "state", "percent", "vendor_status")} == {
        "import_id": run.import_ids[f"good_{mode}"],
        "state": "succeeded",
        "percent": 100.0,
        "vendor_status": 100,
    }


@MODES
def test_the_progress_is_published_where_airflow_can_show_it(run: FinishedRun, mode: str) -> None:
    published = run.published(f"good_{mode}")
    if not publishes_progress():
        assert published is None
        return
    assert published is not None
    assert PublishedProgress.from_dict(published).import_id == run.import_ids[f"good_{mode}"]


@MODES
def test_a_failed_import_stops_the_next_task(run: FinishedRun, mode: str) -> None:
    assert run.states[f"wait_bad_{mode}"] == "failed"
    assert run.states[f"next_step_bad_{mode}"] == "upstream_failed"


@MODES
def test_a_failed_import_spends_no_retry_and_says_what_failed(run: FinishedRun, mode: str) -> None:
    (log,) = run.logs(f"bad_{mode}")
    assert "ImportFailedError" in log
    assert re.search(rf"{run.import_ids[f'bad_{mode}']}.* failed at the vendor \(status -1\)", log)


@pytest.mark.parametrize("outcome", ["good", "bad"])
@pytest.mark.parametrize(("mode", "state"), [("deferred", "DEFERRED"), ("rescheduled", "UP_FOR_RESCHEDULE")])
def test_the_wait_left_its_worker(run: FinishedRun, outcome: str, mode: str, state: str) -> None:
    (log,) = run.logs(f"{outcome}_{mode}")
    assert state in log


def test_an_import_can_be_watched_through_a_connection_in_the_database(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    def command(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", module, *arguments],
            cwd=airflow.home,
            env=airflow.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    connection = json.dumps(sandbox.airflow_connection("lucca"))
    assert command("airflow", "connections", "add", "lucca_stored", "--conn-json", connection).returncode == 0
    import_id = sandbox.create_import("lucca", "leave", {"answers": [-1]})
    arguments = ["lucca-leave", import_id, "--conn-id", "lucca_stored", "--json"]
    watched = command("airflow_import_progress", "watch", *arguments)
    assert (watched.returncode, watched.stderr) == (1, "")
    assert [json.loads(line)["event"] for line in watched.stdout.splitlines()] == ["progress", "outcome"]


@pytest.mark.usefixtures("run")
def test_nothing_listens_beyond_the_loopback_interface() -> None:
    addresses = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            sockets = process.net_connections("inet")
            addresses |= {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert addresses <= {"127.0.0.1"}
