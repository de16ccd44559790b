# SPDX-License-Identifier: Apache-2.0
"""An Airflow of the installed version, used through the command line, which all versions have in common."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.versions.finished_run import FinishedRun
from tools.airflow_api import wait_until
from tools.examples import connections_to
from tools.local_airflow import COMPONENTS, LocalAirflow

# Airflow 2 has no API server, and runs a DAG processor only with this setting.
HAS_API_SERVER = importlib.util.find_spec("airflow.sdk") is not None
COMPONENTS_HERE = {name: command for name, command in COMPONENTS.items() if name != "api-server" or HAS_API_SERVER}
SETTINGS = {"AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True"}

FINAL_STATES = {"success", "failed", "upstream_failed", "skipped"}

#: The vendor's responses for each import, in the order of the polls.
IMPORTS = {
    "good_deferred": [0, 40, 100],
    "bad_deferred": [10, -1],
    "good_rescheduled": [40, 100],
    "bad_rescheduled": [10, -1],
}


@pytest.fixture(scope="session")
def airflow_options(sandbox: Sandbox) -> dict[str, Any]:
    """The components and settings that the installed version needs."""
    return {
        "dags_folder": Path(__file__).parent / "dags",
        "connections": connections_to(sandbox),
        "components": COMPONENTS_HERE,
        "settings": SETTINGS,
    }


# Used by all tests, so that the report of a failed one has Airflow's logs.
@pytest.fixture(scope="session", autouse=True)
def airflow(airflow: LocalAirflow) -> LocalAirflow:
    """A real Airflow with the DAG of these tests."""
    return airflow


@pytest.fixture(scope="session")
def run(airflow: LocalAirflow, sandbox: Sandbox) -> FinishedRun:
    """The run of the DAG, after its end."""
    ids = {name: sandbox.create_import("lucca", "leave", {"answers": said}) for name, said in IMPORTS.items()}

    def command(*arguments: str) -> str | None:
        """Return the output of an Airflow command, or None if the command fails."""
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

    # Repeated, because a DAG cannot be triggered before it is parsed.
    wait_until("the DAG to be triggered", trigger, timeout=120)
    return FinishedRun(airflow, wait_until("the run to end", final_states, timeout=300, interval=3), ids)
