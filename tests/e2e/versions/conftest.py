# SPDX-License-Identifier: Apache-2.0
"""An Airflow of the installed version, used through the command line, which all versions have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.versions.airflow_command import HAS_API_SERVER, AirflowCommand
from tests.e2e.versions.finished_run import FinishedRun
from tests.support.metrics import StatsdListener, listening
from tools.examples import connections_to
from tools.local_airflow import COMPONENTS, LocalAirflow

# Airflow 2 runs a DAG processor only with this setting.
COMPONENTS_HERE = {name: command for name, command in COMPONENTS.items() if name != "api-server" or HAS_API_SERVER}
SETTINGS = {"AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True"}


def settings_of(statsd: StatsdListener) -> dict[str, str]:
    """Return the settings with which an Airflow sends its metrics to a listener, with tags."""
    if find_spec("statsd") is None:
        return {}
    return {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
    }


#: The vendor's responses for each import, in the order of the polls.
IMPORTS = {
    "good_deferred": [0, 40, 100],
    "bad_deferred": [10, -1],
    "good_rescheduled": [40, 100],
    "bad_rescheduled": [10, -1],
}


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The vendors' sandbox, in which an uploaded import takes a few polls."""
    with Sandbox(import_duration=12) as running:
        yield running


@pytest.fixture(scope="session")
def faulty_sandboxes() -> Iterator[dict[str, Sandbox]]:
    """Sandboxes whose first answer to an upload is faulty, by the name of the fault."""
    faults: dict[str, tuple[dict[str, object], bool]] = {
        "slow": ({"delay": 6}, True),
        "lost_answer": ({"reset": True}, True),
        "refused": ({"status": 400, "body": '{"Message": "no column accountId"}'}, False),
    }
    with ExitStack() as stack:
        running = {name: stack.enter_context(Sandbox(import_duration=12)) for name in faults}
        for name, (fault, processed) in faults.items():
            running[name].add_fault(fault, path_contains="leavePeriods", processed=processed)
        yield running


@pytest.fixture(scope="session")
def workspaces() -> Iterator[dict[str, Sandbox]]:
    """Sandboxes with a workspace of Rocket.Chat each, by the point at which the process that imports is killed."""
    with ExitStack() as stack:
        points = ("before_request", "after_answer", "before_end")
        yield {point: stack.enter_context(Sandbox(import_duration=12)) for point in points}


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdListener]:
    """The StatsD to which this Airflow sends its metrics."""
    with listening() as listener:
        yield listener


@pytest.fixture(scope="session")
def airflow_options(
    sandbox: Sandbox, faulty_sandboxes: dict[str, Sandbox], workspaces: dict[str, Sandbox], statsd: StatsdListener
) -> dict[str, Any]:
    """The components and settings that the installed version needs."""
    more = {f"lucca_{name}": running.airflow_connection("lucca") for name, running in faulty_sandboxes.items()}
    more |= {f"rocketchat_{name}": running.airflow_connection("rocketchat") for name, running in workspaces.items()}
    # The sensors have one of their own, because their metrics are counted.
    more["lucca_gates"] = sandbox.airflow_connection("lucca")
    return {
        "dags_folder": Path(__file__).parent / "dags",
        "connections": connections_to(sandbox) | more,
        "components": COMPONENTS_HERE,
        "settings": SETTINGS | settings_of(statsd),
    }


# Used by all tests, so that the report of a failed one has Airflow's logs.
@pytest.fixture(scope="session", autouse=True)
def airflow(airflow: LocalAirflow) -> LocalAirflow:
    """A real Airflow with the DAG of these tests."""
    return airflow


@pytest.fixture(scope="session")
def command(airflow: LocalAirflow) -> AirflowCommand:
    """The command line of the Airflow."""
    return AirflowCommand(airflow)


@pytest.fixture(scope="session")
def run(airflow: LocalAirflow, command: AirflowCommand, sandbox: Sandbox) -> FinishedRun:
    """The run of the DAG with sensors, after its end."""
    ids = {name: sandbox.create_import("lucca", "leave", {"answers": said}) for name, said in IMPORTS.items()}
    command.trigger("gates", ids)
    return FinishedRun(airflow, command.final_states("gates"), ids)
