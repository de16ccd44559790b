# SPDX-License-Identifier: Apache-2.0
"""
One Airflow with the example DAGs and the DAGs of these tests.

A test is marked with the scenario that it needs: ``@pytest.mark.scenario`` names a DAG and the imports that it waits
for. The DAG runs of all scenarios are started together at the beginning, so that they wait at the same time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.gating.scenarios import API_KEY, WRONG_API_KEY, Run, start
from tools.examples import EXAMPLE_DAG_IDS, EXAMPLE_DAGS, connections_to
from tools.local_airflow import LocalAirflow


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "scenario(dag_id, *scripts, faults=()): run this DAG against imports with these scripts in the sandbox, "
        "with these faults in the answers about them",
    )


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The vendors' sandbox, with an API key that nothing else has."""
    with Sandbox(lucca_api_key=API_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def second_workspace() -> Iterator[Sandbox]:
    """A second sandbox, because a workspace of Rocket.Chat has one import at a time."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def airflow_options(
    sandbox: Sandbox, second_workspace: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The DAGs of these tests and the example DAGs, with the connections of both."""
    dags = tmp_path_factory.mktemp("dags")
    for folder in (EXAMPLE_DAGS, Path(__file__).parent / "dags"):
        shutil.copytree(folder, dags, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    connections = connections_to(sandbox)
    connections["lucca_wrong_key"] = {**connections["lucca_default"], "password": WRONG_API_KEY}
    connections["milvus_default"] = {**connections["zilliz_default"], "extra": {"api_version": "v2"}}
    connections["rocketchat_second_workspace"] = second_workspace.airflow_connection("rocketchat")
    return {"dags_folder": dags, "connections": connections}


@pytest.fixture(scope="session")
def airflow(airflow: LocalAirflow) -> LocalAirflow:
    """The Airflow, once it has parsed the DAGs."""
    airflow.api.wait_for_dags("deferred", "mapped", "without_workers_mapped", *EXAMPLE_DAG_IDS)
    return airflow


@pytest.fixture(scope="session")
def runs(
    request: pytest.FixtureRequest, airflow: LocalAirflow, sandbox: Sandbox, second_workspace: Sandbox
) -> dict[int, Run]:
    """The run of each scenario, by the identity of its marker: tests of one class share its scenario."""
    markers = [marker for item in request.session.items if (marker := item.get_closest_marker("scenario"))]
    scenarios = {id(marker): marker for marker in markers}
    return {
        key: start(
            airflow,
            second_workspace if marker.args[0].endswith("second_workspace") else sandbox,
            *marker.args,
            **marker.kwargs,
        )
        for key, marker in scenarios.items()
    }


@pytest.fixture
def run(request: pytest.FixtureRequest, runs: dict[int, Run]) -> Run:
    """The run of the test's scenario."""
    return runs[id(request.node.get_closest_marker("scenario"))]
