# SPDX-License-Identifier: Apache-2.0
"""An Airflow of whichever version is installed, driven by its command line, which all versions share."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_import_progress.sandbox import Sandbox
from demo.cases import connections_to
from tests.support.real_airflow import pytest_runtest_makereport  # noqa: F401
from tools.airflow_api import wait_until
from tools.local_airflow import COMPONENTS, LocalAirflow
from tools.postgres import postgres

# What this folder knows of the versions: Airflow 2 has no API server, and a DAG processor only if told so.
HAS_API_SERVER = importlib.util.find_spec("airflow.sdk") is not None
COMPONENTS_HERE = {name: command for name, command in COMPONENTS.items() if name != "api-server" or HAS_API_SERVER}
SETTINGS = {"AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True"}

FINAL_STATES = {"success", "failed", "upstream_failed", "skipped"}

#: What the vendor says of each import, poll by poll.
IMPORTS = {
    "good_deferred": [0, 40, 100],
    "bad_deferred": [10, -1],
    "good_rescheduled": [40, 100],
    "bad_rescheduled": [10, -1],
}


@dataclass
class Run:
    """The run of the DAG, after its end."""

    airflow: LocalAirflow
    states: dict[str, str]
    import_ids: dict[str, str]

    def handed_on(self, name: str) -> dict[str, object]:
        """Return what the task behind a sensor was given."""
        progress: dict[str, object] = json.loads((self.airflow.home / f"{name}.json").read_text())
        return progress

    def published(self, name: str) -> dict[str, object] | None:
        """Return what a sensor has published for people to look at, or None."""
        value: dict[str, object] | None = json.loads((self.airflow.home / f"{name}.published.json").read_text())
        return value

    def logs(self, name: str) -> list[str]:
        """Return the logs of a sensor, one for each time that it was tried."""
        folder = self.airflow.home / "logs/dag_id=gates/run_id=run" / f"task_id=wait_{name}"
        return [log.read_text() for log in sorted(folder.glob("attempt=?.log"))]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The vendor's sandbox."""
    with Sandbox() as running:
        yield running


# First of all, so that the report of whatever fails behind it has the logs.
@pytest.fixture(scope="session", autouse=True)
def airflow(sandbox: Sandbox) -> Iterator[LocalAirflow]:
    """A real Airflow with the DAG of these tests."""
    with (
        postgres() as database,
        LocalAirflow(
            Path(__file__).parent / "dags",
            connections=connections_to(sandbox),
            database_url=database.url,
            settings=SETTINGS,
            components=COMPONENTS_HERE,
        ) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def run(airflow: LocalAirflow, sandbox: Sandbox) -> Run:
    """The run of the DAG, after its end."""
    ids = {name: sandbox.create_import("lucca", "leave", {"answers": said}) for name, said in IMPORTS.items()}

    def command(*arguments: str) -> str | None:
        """Return what a command of Airflow says, or None if it fails."""
        airflow.check_running()
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "airflow", *arguments],
            cwd=airflow.home,
            env=airflow.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        (airflow.logs / "last-command.log").write_text(done.stdout + done.stderr)
        return done.stdout if done.returncode == 0 else None

    def trigger() -> bool:
        return command("dags", "trigger", "gates", "--run-id", "run", "--conf", json.dumps(ids)) is not None

    def final_states() -> dict[str, str] | None:
        if (listed := command("tasks", "states-for-dag-run", "gates", "run", "--output", "json")) is None:
            return None
        states = {task["task_id"]: task["state"] for task in json.loads(listed[listed.index("[{") :])}
        return states if states and set(states.values()) <= FINAL_STATES else None

    # It cannot be triggered before it is parsed.
    wait_until("the DAG to be triggered", trigger, timeout=120)
    return Run(airflow, wait_until("the run to end", final_states, timeout=300, interval=3), ids)
