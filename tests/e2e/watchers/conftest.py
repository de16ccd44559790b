# SPDX-License-Identifier: Apache-2.0
"""One Airflow whose DAGs run when an import ends that a person has started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.watchers.imports import ENDED_BEFORE, start
from tools.airflow_api import wait_until
from tools.examples import connections_to
from tools.local_airflow import LocalAirflow

DAG_IDS = ("vectors_imported", "vectors_not_imported", "messages_imported")


@pytest.fixture(scope="session")
def airflow_options(sandbox: Sandbox) -> dict[str, Any]:
    """The DAGs of these tests, with connections to a sandbox in which imports have ended before."""
    ENDED_BEFORE.extend(start(sandbox, dag_id, 0) for dag_id in DAG_IDS)
    return {
        "dags_folder": Path(__file__).parent / "dags",
        "connections": connections_to(sandbox),
        # A triggerer that was killed is replaced after ten seconds without a heartbeat, not after thirty.
        "settings": {"AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10"},
    }


@pytest.fixture(scope="session")
def airflow(airflow: LocalAirflow) -> LocalAirflow:
    """The Airflow, once all watchers have begun."""
    airflow.api.wait_for_dags(*DAG_IDS)
    wait_until(
        "the watchers to begin",
        lambda: airflow.component_log("triggerer").count("the watcher begins") == len(DAG_IDS),
        timeout=90,
    )
    return airflow
