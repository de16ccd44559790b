# SPDX-License-Identifier: Apache-2.0
"""The Python code in the documentation, run as it stands there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from airflow_import_progress.compat import has_asset_watchers
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator

ROOT = Path(__file__).parent.parent.parent


def code(page):
    """Return the blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def run(source, name):
    if importlib.util.find_spec("airflow.sdk") is None:
        # As the README says for Airflow 2.11.
        source = source.replace("from airflow.sdk import DAG", "from airflow import DAG")
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102
    return module


def test_the_dag_of_the_readme_parses(monkeypatch):
    made = []
    monkeypatch.setattr(LuccaLeaveImportOperator, "_complete", lambda self: made.append(self))
    (dag_file, *_) = code("README.md")
    run(dag_file, "readme_dag")
    (operator,) = made
    assert (operator.dag.dag_id, operator.task_id) == ("leaves", "import_leaves")


def test_the_dag_of_the_readme_has_six_lines():
    (dag_file, *_) = code("README.md")
    assert len(dag_file.splitlines()) <= 6


def test_the_other_sensors_of_the_readme_can_be_made():
    module = run(next(block for block in code("README.md") if "LeadsyImportSensor(" in block), "readme_sensors")
    assert {"RocketChatImportSensor", "ZillizImportSensor", "LeadsyImportSensor"} <= set(vars(module))


@pytest.mark.skipif(not has_asset_watchers(), reason="watchers from Airflow 3.0 on")
def test_the_dag_of_the_page_about_watchers_parses():
    (dag_file,) = code("docs/watchers.md")
    module = run(dag_file, "watchers_dag")
    (watcher,) = module.vectors.watchers
    assert type(watcher.trigger).__name__ == "ZillizImportEndTrigger"


@pytest.mark.skipif(not has_asset_watchers(), reason="watchers from Airflow 3.0 on")
def test_the_watcher_of_the_page_for_vendors_can_be_made():
    blocks = code("docs/add-a-vendor.md")
    hooks = next(block for block in blocks if "class AcmeHook(" in block)
    watcher = next(block for block in blocks if "class AcmeImports(" in block)
    imports = "from airflow_import_progress.vendor import BaseImportEndTrigger, ImportList, ListedImport\n"
    imports += "from collections.abc import Sequence\nfrom typing import Any\n"
    module = run(f"{hooks}\n{imports}\n{watcher}", "acme_watcher")
    _, kwargs = module.AcmeImportEndTrigger().serialize()
    assert kwargs == {"acme_conn_id": "acme_default", "states": ["succeeded"], "poke_interval": 60}


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "examples/gitlab_imports/README.md",
        *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    ],
)
def test_the_links_of_a_page_lead_somewhere(page):
    folder = (ROOT / page).parent
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert [target for target in targets if not (folder / target).exists()] == []


def test_the_links_of_the_readme_to_the_repository_lead_somewhere():
    # Absolute, because PyPI shows the README too.
    places = r"https://(?:github\.com/[\w-]+/[\w-]+/(?:blob|tree)|raw\.githubusercontent\.com/[\w-]+/[\w-]+)/main/([^)#\s\"]+)"
    targets = re.findall(places, (ROOT / "README.md").read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
