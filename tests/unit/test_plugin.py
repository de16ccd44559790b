# SPDX-License-Identifier: Apache-2.0
"""What Airflow's plugin costs the processes that load it, and what it registers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from airflow.plugins_manager import AirflowPlugin

import airflow_import_progress.plugin
from airflow_import_progress import plugin
from airflow_import_progress.plugin import ImportProgressPlugin

SHOWS_VIEWS = hasattr(AirflowPlugin, "external_views")


def test_the_entry_point_leads_to_it():
    (entry_point,) = (
        entry_point
        for entry_point in metadata.entry_points(group="airflow.plugins")
        if entry_point.value.startswith("airflow_import_progress")
    )
    assert entry_point.load() is ImportProgressPlugin


def test_to_load_it_loads_nothing_of_the_app_behind_it():
    program = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import airflow_import_progress.plugin; "
        "print(sorted(set(sys.modules) - before - {'airflow_import_progress'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip().splitlines()[-1] == "['airflow_import_progress.plugin']"


@pytest.mark.skipif(SHOWS_VIEWS, reason="this Airflow shows views of plugins")
def test_it_registers_nothing_where_views_are_not_shown():
    assert not getattr(ImportProgressPlugin, "fastapi_apps", [])
    assert not hasattr(ImportProgressPlugin, "external_views")


@pytest.mark.skipif(not SHOWS_VIEWS, reason="this Airflow shows no views of plugins")
def test_it_registers_a_page_and_a_tab():
    assert [view["destination"] for view in ImportProgressPlugin.external_views] == ["nav", "task_instance"]


def borrowed():
    """Return the names of Airflow, FastAPI and SQLAlchemy that the app imports."""
    folder = Path(airflow_import_progress.plugin.__file__).parent
    for name in ("api.py", "waits.py"):
        for node in ast.walk(ast.parse((folder / name).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("airflow", "fastapi", "sqlalchemy"):
                yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.skipif(not SHOWS_VIEWS, reason="this Airflow shows no views of plugins")
@pytest.mark.parametrize(("module", "name"), list(borrowed()))
def test_an_airflow_that_has_moved_a_name_has_no_page_and_starts(module, name, monkeypatch, caplog):
    monkeypatch.delattr(importlib.import_module(module), name)
    for loaded in ("api", "waits"):
        monkeypatch.delitem(sys.modules, f"airflow_import_progress.plugin.{loaded}", raising=False)
    plugin._apps.cache_clear()
    try:
        assert ImportProgressPlugin.fastapi_apps == []
        assert ImportProgressPlugin.external_views == []
        assert ImportProgressPlugin.fastapi_apps == []
    finally:
        plugin._apps.cache_clear()
    ours = [record.message for record in caplog.records if record.name == plugin.__name__]
    assert [message.partition(",")[0] for message in ours] == ["The Imports page is not available"]


def test_it_listens_to_nothing():
    # A listener would keep Airflow from ending waits without workers.
    assert not ImportProgressPlugin.listeners
