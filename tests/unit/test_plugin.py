# SPDX-License-Identifier: Apache-2.0
"""The registration of Airflow's plugin and the cost of loading it."""

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

HAS_EXTERNAL_VIEWS = hasattr(AirflowPlugin, "external_views")
APP_MODULES = ("api", "queries", "serialization", "status")


def test_the_entry_point_is_the_plugin():
    (entry_point,) = (
        entry_point
        for entry_point in metadata.entry_points(group="airflow.plugins")
        if entry_point.value.startswith("airflow_import_progress")
    )
    assert entry_point.load() is ImportProgressPlugin


def test_loading_the_plugin_does_not_import_the_app():
    program = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import airflow_import_progress.plugin; "
        "print(sorted(set(sys.modules) - before - {'airflow_import_progress'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip().splitlines()[-1] == "['airflow_import_progress.plugin']"


@pytest.mark.skipif(HAS_EXTERNAL_VIEWS, reason="this Airflow has external views")
def test_it_registers_nothing_without_external_views():
    assert not getattr(ImportProgressPlugin, "fastapi_apps", [])
    assert not hasattr(ImportProgressPlugin, "external_views")


@pytest.mark.skipif(not HAS_EXTERNAL_VIEWS, reason="this Airflow has no external views")
def test_it_registers_a_page_and_a_tab():
    assert [view["destination"] for view in ImportProgressPlugin.external_views] == ["nav", "task_instance"]


def imported_names():
    """Return the names that the app imports from Airflow, FastAPI and SQLAlchemy, with their modules."""
    folder = Path(airflow_import_progress.plugin.__file__).parent
    for module in APP_MODULES:
        for node in ast.walk(ast.parse((folder / f"{module}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("airflow", "fastapi", "sqlalchemy"):
                yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.skipif(not HAS_EXTERNAL_VIEWS, reason="this Airflow has no external views")
@pytest.mark.parametrize(("module", "name"), list(imported_names()))
def test_an_airflow_without_an_imported_name_starts_without_the_page(module, name, monkeypatch, caplog):
    monkeypatch.delattr(importlib.import_module(module), name)
    for loaded in APP_MODULES:
        monkeypatch.delitem(sys.modules, f"airflow_import_progress.plugin.{loaded}", raising=False)
    plugin._apps.cache_clear()
    try:
        assert ImportProgressPlugin.fastapi_apps == []
        assert ImportProgressPlugin.external_views == []
        assert ImportProgressPlugin.fastapi_apps == []
    finally:
        plugin._apps.cache_clear()
    messages = [record.message for record in caplog.records if record.name == plugin.__name__]
    assert [message.partition(",")[0] for message in messages] == ["The Imports page is not available"]


def test_it_registers_no_listeners():
    # Airflow does not end waits in the triggerer while any listener is registered.
    assert not ImportProgressPlugin.listeners
