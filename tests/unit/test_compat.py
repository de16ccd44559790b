# SPDX-License-Identifier: Apache-2.0
"""What differs between Airflow's versions."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_import_progress import compat

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SENSOR = SimpleNamespace(retries=2)


def test_airflow_3_tells_the_first_poke_itself():
    ti = SimpleNamespace(get_first_reschedule_date=lambda context: FIRST)
    assert compat.first_poke_at(SENSOR, {"ti": ti}) == FIRST


def test_airflow_2_finds_the_first_poke_of_the_first_try(monkeypatch):
    base = pytest.importorskip("airflow.sensors.base", reason="Airflow 3 tells the first poke itself")
    if not hasattr(base, "_orig_start_date"):
        pytest.skip("Airflow 3 tells the first poke itself")
    asked = {}

    def orig_start_date(**arguments):
        asked.update(arguments)
        return FIRST

    monkeypatch.setattr(base, "_orig_start_date", orig_start_date)
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=3, max_tries=5)
    assert compat.first_poke_at(SENSOR, {"ti": ti}) == FIRST
    assert asked == {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": 3, "try_number": 4}
