# SPDX-License-Identifier: Apache-2.0
"""An Airflow of the installed version, used through the command line, which all versions have in common."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.versions.airflow_command import HAS_API_SERVER, AirflowCommand
from tests.e2e.versions.finished_run import FinishedRun
from tests.e2e.versions.start_scenario import StartOutcomes, StartScenario
from tests.e2e.versions.start_vendors import IMPORT_SECONDS, StartVendors
from tests.support.metrics import StatsdListener, listening
from tools.examples import connections_to
from tools.local_airflow import COMPONENTS, LocalAirflow

# Airflow 2 runs a DAG processor only with this setting.
COMPONENTS_HERE = {name: command for name, command in COMPONENTS.items() if name != "api-server" or HAS_API_SERVER}
SETTINGS = {
    "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
    # Some tasks occupy a worker all the time, and cost nothing.
    "AIRFLOW__CORE__PARALLELISM": "10",
}


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
    with Sandbox(import_duration=IMPORT_SECONDS) as running:
        yield running


@pytest.fixture(scope="session")
def start_vendors(sandbox: Sandbox) -> Iterator[StartVendors]:
    """The vendors at which tasks start imports."""
    with StartVendors(sandbox) as running:
        yield running


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdListener]:
    """The StatsD to which this Airflow sends its metrics."""
    with listening() as listener:
        yield listener


@pytest.fixture(scope="session")
def airflow_options(sandbox: Sandbox, start_vendors: StartVendors, statsd: StatsdListener) -> dict[str, Any]:
    """The components and settings that the installed version needs."""
    return {
        "dags_folder": Path(__file__).parent / "dags",
        # The sensors have a connection of their own, because their metrics are counted.
        "connections": connections_to(sandbox)
        | start_vendors.connections()
        | {"lucca_gates": sandbox.airflow_connection("lucca")},
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
def start_scenario(airflow: LocalAirflow, command: AirflowCommand, start_vendors: StartVendors) -> StartScenario:
    """What happens to tasks that start imports. It has begun."""
    scenario = StartScenario(airflow, command, start_vendors)
    scenario.begin()
    return scenario


# After the scenario has begun, so that both are under way side by side.
@pytest.fixture(scope="session")
def run(airflow: LocalAirflow, command: AirflowCommand, sandbox: Sandbox, start_scenario: StartScenario) -> FinishedRun:
    """The run of the DAG with sensors, after its end."""
    ids = {name: sandbox.create_import("lucca", "leave", {"answers": said}) for name, said in IMPORTS.items()}
    command.trigger("gates", ids)
    return FinishedRun(airflow, command.final_states("gates"), ids)


@pytest.fixture(scope="session")
def start_outcomes(start_scenario: StartScenario) -> StartOutcomes:
    """The outcomes of what happens to tasks that start imports."""
    return start_scenario.run()
