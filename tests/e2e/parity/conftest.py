# SPDX-License-Identifier: Apache-2.0
"""An Airflow in which a sensor and an operator for each behavior, mode and flag wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.parity.operator_tasks import LUCCA_CONN_ID, OPERATOR_TASKS
from tests.support.behaviors import BEHAVIORS, FLAGS, LIMITED_CONN_ID, MODES, dag_id_of, import_id_of
from tools.examples import connections_to
from tools.local_airflow import LocalAirflow

DAGS = Path(__file__).parent / "dags"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def sandbox(sandbox: Sandbox) -> Sandbox:
    """The vendors' sandbox, with an import for each sensor."""
    for name, behavior in BEHAVIORS.items():
        for mode in MODES:
            for flag in FLAGS:
                behavior.begin(sandbox, import_id_of(name, mode, flag))
    return sandbox


@pytest.fixture(scope="session")
def sandboxes(sandbox: Sandbox) -> Iterator[Mapping[str, Sandbox]]:
    """The sandbox of each operator by the id of its import, which begins when the operator starts it."""
    with ExitStack() as running:
        sandboxes = {}
        for task in OPERATOR_TASKS:
            own = running.enter_context(Sandbox()) if task.has_own_vendor else sandbox
            task.behavior.begin_when_started(own, task.import_id)
            sandboxes[task.import_id] = own
        yield sandboxes


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of the operators."""
    folder = tmp_path_factory.mktemp("files")
    for task in OPERATOR_TASKS:
        task.behavior.write_file(folder, task.import_id)
    return folder


@pytest.fixture(scope="session")
def airflow_options(sandbox: Sandbox, sandboxes: Mapping[str, Sandbox], files: Path) -> dict[str, Any]:
    """Room for all sensors at the same time."""
    connections = connections_to(sandbox)
    for conn_id in (LIMITED_CONN_ID, LUCCA_CONN_ID):
        connections[conn_id] = sandbox.airflow_connection("lucca")
    for task in OPERATOR_TASKS:
        if task.has_own_vendor:
            (conn_id,) = task.connection.values()
            connections[conn_id] = sandboxes[task.import_id].airflow_connection("rocketchat")
    connections["zilliz_default"] = {**connections["zilliz_default"], "extra": {"api_version": "v2"}}
    settings = {
        "PYTHONPATH": str(REPOSITORY),
        "PARITY_FILES": str(files),
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": "3",
        # The workers of both pools start at the same moment, and each reads the DAGs.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    }
    return {"dags_folder": DAGS, "connections": connections, "settings": settings}


@pytest.fixture(scope="session")
def airflow(airflow: LocalAirflow) -> LocalAirflow:
    """The Airflow, once it has parsed the DAGs."""
    airflow.api.add_pool("sleeping", 12)
    airflow.api.wait_for_dags(*map(dag_id_of, BEHAVIORS))
    return airflow


@pytest.fixture(scope="session")
def runs(airflow: LocalAirflow) -> dict[str, str]:
    """The run of each behavior's DAG."""
    return {name: airflow.api.trigger(dag_id_of(name)) for name in BEHAVIORS}
