# SPDX-License-Identifier: Apache-2.0
"""An Airflow in which a sensor for each behaviour, mode and argument waits, all at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_import_progress.sandbox import Sandbox
from demo.cases import connections_to
from tests.support.behaviors import BEHAVIOURS, FLAGS, LIMITED_CONN_ID, MODES, dag_id_of, import_id_of
from tests.support.real_airflow import pytest_runtest_makereport  # noqa: F401
from tools.local_airflow import LocalAirflow
from tools.postgres import postgres

DAGS = Path(__file__).parent / "dags"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The vendors' sandbox, with an import for each sensor."""
    with Sandbox() as running:
        for name, behaviour in BEHAVIOURS.items():
            for mode in MODES:
                for flag in FLAGS:
                    behaviour.begin(running, import_id_of(name, mode, flag))
        yield running


@pytest.fixture(scope="session")
def airflow(sandbox: Sandbox) -> Iterator[LocalAirflow]:
    """A real Airflow in which all sensors wait."""
    connections = connections_to(sandbox)
    connections[LIMITED_CONN_ID] = sandbox.airflow_connection("lucca")
    connections["zilliz_default"] = {**connections["zilliz_default"], "extra": {"api_version": "v2"}}
    settings = {
        "PYTHONPATH": str(REPOSITORY),
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": "3",
        # The workers of both pools start at the same moment, and each reads the DAGs.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    }
    with (
        postgres() as database,
        LocalAirflow(DAGS, connections=connections, database_url=database.url, settings=settings) as running,
    ):
        running.api.add_pool("sleeping", 12)
        running.api.wait_for_dags(*map(dag_id_of, BEHAVIOURS))
        yield running


@pytest.fixture(scope="session")
def runs(airflow: LocalAirflow) -> dict[str, str]:
    """The run of each behaviour's DAG."""
    return {name: airflow.api.trigger(dag_id_of(name)) for name in BEHAVIOURS}
