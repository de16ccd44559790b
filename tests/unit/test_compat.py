# SPDX-License-Identifier: Apache-2.0
"""What differs between Airflow's versions."""

from __future__ import annotations

import threading
import warnings
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_import_progress import compat
from airflow_import_progress.compat import stored

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


@pytest.mark.parametrize("name", compat._PLACES)
def test_every_public_name_of_airflow_is_found_without_a_warning(name):
    compat._of_airflow.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert getattr(compat, name) is getattr(compat, name)
    assert [str(warning.message) for warning in caught if name in str(warning.message)] == []


def test_an_airflow_that_has_moved_what_publishing_takes_publishes_nothing(monkeypatch):
    monkeypatch.setattr(stored, "_comms", lambda: SimpleNamespace())
    assert stored.publishes_progress() is False


def test_a_name_that_airflow_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Nonsense'"):
        compat.Nonsense  # noqa: B018


async def test_a_connection_is_looked_up_off_the_event_loop_where_airflow_has_no_awaited_way(monkeypatch):
    threads = []

    class Connection:
        extra_dejson = {"timeout": 5}  # noqa: RUF012

    class Base:
        @classmethod
        def get_connection(cls, conn_id):
            threads.append(threading.current_thread())
            return Connection

    class Hook(Base):
        """A hook that looks connections up as all do."""

    monkeypatch.setattr(compat, "_of_airflow", {"Connection": Connection, "BaseHook": Base}.__getitem__)
    assert await compat.look_up_connection(Hook(), "lucca_default") == (Connection, {"timeout": 5})
    assert threads[0] is not threading.current_thread()


async def test_a_connection_is_awaited_where_airflow_can(monkeypatch):
    class Connection:
        async def aextra_dejson(self):
            return {"timeout": 5}

    class Base:
        @classmethod
        def get_connection(cls, conn_id):
            raise AssertionError

        @classmethod
        async def aget_connection(cls, conn_id):
            return Connection()

    class Hook(Base):
        """A hook that looks connections up as all do."""

    monkeypatch.setattr(compat, "_of_airflow", {"Connection": Connection, "BaseHook": Base}.__getitem__)
    _, extra = await compat.look_up_connection(Hook(), "lucca_default")
    assert extra == {"timeout": 5}


async def test_a_hook_that_looks_connections_up_itself_does_so_on_an_event_loop_too(monkeypatch):
    class Connection:
        extra_dejson = {"timeout": 5}  # noqa: RUF012

        async def aextra_dejson(self):
            raise AssertionError

    class Base:
        @classmethod
        def get_connection(cls, conn_id):
            raise AssertionError

    class Hook(Base):
        @classmethod
        def get_connection(cls, conn_id):
            return Connection

    monkeypatch.setattr(compat, "_of_airflow", {"Connection": Connection, "BaseHook": Base}.__getitem__)
    assert await compat.look_up_connection(Hook(), "lucca_default") == (Connection, {"timeout": 5})
