# SPDX-License-Identifier: Apache-2.0
"""Each import that ends starts one run of its DAG, through a restart and a crash of the triggerer."""

from __future__ import annotations

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.watchers.imports import ENDED_BEFORE, KINDS, have_ended, reported, start, wait_for_run
from tools.airflow_api import wait_until
from tools.local_airflow import LocalAirflow

#: How long an import runs that is to end while no triggerer runs, in seconds.
UNDER_WAY = 8.0


@pytest.fixture(scope="module")
def started(airflow: LocalAirflow, sandbox: Sandbox) -> dict[str, list[str]]:
    """The imports that were started, by the DAG that each of them is to start."""
    imports: dict[str, list[str]] = {dag_id: [] for dag_id in KINDS}

    def begin(seconds: float = 0) -> dict[str, str]:
        newest = {dag_id: start(sandbox, dag_id, seconds) for dag_id in KINDS}
        for dag_id, import_id in newest.items():
            imports[dag_id].append(import_id)
        return newest

    def wait_for(newest: dict[str, str]) -> None:
        for dag_id, import_id in newest.items():
            wait_for_run(airflow, dag_id, import_id)

    wait_for(begin())
    wait_for(begin(seconds=5))

    # Airflow would add the events of those that end at the same time to the run of a later one.
    at_once = [start(sandbox, "vectors_imported", 0) for _ in range(3)]
    imports["vectors_imported"] += at_once
    for import_id in at_once:
        wait_for_run(airflow, "vectors_imported", import_id)

    airflow.stop("triggerer")
    ended_without_triggerer = begin()
    airflow.start("triggerer")
    wait_for(ended_without_triggerer)

    under_way = begin(seconds=UNDER_WAY)
    airflow.kill("triggerer")
    wait_until("the imports to end", lambda: have_ended(sandbox, under_way.values()), timeout=60)
    airflow.start("triggerer")
    wait_for(under_way)

    # With nothing under way, neither of them reports anything again.
    airflow.kill("triggerer")
    airflow.start("triggerer")
    wait_for(begin())
    airflow.stop("triggerer")
    airflow.start("triggerer")
    wait_for(begin())
    return imports


@pytest.mark.parametrize("dag_id", KINDS)
def test_each_import_starts_one_run(airflow: LocalAirflow, started: dict[str, list[str]], dag_id: str) -> None:
    assert sorted(reported(airflow, dag_id)) == sorted([import_id] for import_id in started[dag_id])


def test_an_import_from_before_the_watcher_began_starts_no_run(
    airflow: LocalAirflow, started: dict[str, list[str]]
) -> None:
    runs = {import_id for dag_id in KINDS for imports in reported(airflow, dag_id) for import_id in imports}
    assert len(ENDED_BEFORE) == len(KINDS)
    assert runs.isdisjoint(ENDED_BEFORE)


def test_the_triggerers_log_has_no_error_and_no_secret(
    airflow: LocalAirflow, sandbox: Sandbox, started: dict[str, list[str]]
) -> None:
    log = airflow.component_log("triggerer")
    assert "could not be stored" not in log
    assert "exited with error" not in log
    for vendor in ("zilliz", "rocketchat"):
        assert str(sandbox.airflow_connection(vendor)["password"]) not in log
