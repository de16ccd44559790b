# SPDX-License-Identifier: Apache-2.0
"""The Python code in the documentation, run as it stands there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from airflow_import_progress.exceptions import ImportProtocolError
from airflow_import_progress.exchange import Response
from airflow_import_progress.hooks.connection import VendorConnection
from airflow_import_progress.progress import ImportState

ROOT = Path(__file__).parent.parent.parent


def code(page):
    """Return the blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def run(source, name):
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102
    return module


@pytest.fixture
def acme(monkeypatch):
    """Return the modules of the vendor that docs/add-a-vendor.md adds."""
    hooks, sensors = code("docs/add-a-vendor.md")
    for name in ("hooks", "sensors"):
        monkeypatch.setitem(sys.modules, f"airflow_import_progress.{name}.acme", None)
    return (
        run(hooks, "airflow_import_progress.hooks.acme"),
        run(sensors, "airflow_import_progress.sensors.acme"),
    )


def poll(import_, answer):
    conversation = import_.poll(VendorConnection(conn_id="acme_default", base_url="https://acme.example"))
    next(conversation)
    body = json.dumps(answer).encode()
    with pytest.raises(StopIteration) as end:
        conversation.send(Response(status=200, headers={}, body=body, asked="GET https://acme.example/imports/1"))
    return end.value.value


def test_the_vendor_that_the_documentation_adds_tells_progress(acme):
    hooks, _ = acme
    progress = poll(hooks.AcmeImport("1"), {"status": "working", "percent": 42, "message": None})
    assert (progress.state, progress.percent, progress.message) == (ImportState.RUNNING, 42, None)
    assert poll(hooks.AcmeImport("1"), {"status": "error", "message": "odd\nline"}).message == "odd line"


@pytest.mark.parametrize("answer", [{"status": "excellent"}, {}, [], "done"])
def test_the_vendor_that_the_documentation_adds_fails_closed(acme, answer):
    hooks, _ = acme
    with pytest.raises(ImportProtocolError, match="promises a known status"):
        poll(hooks.AcmeImport("1"), answer)


def test_the_vendor_that_the_documentation_adds_has_a_sensor(acme):
    hooks, sensors = acme
    sensor = sensors.AcmeImportSensor(task_id="wait", job_id="1")
    assert sensor.get_import() == hooks.AcmeImport("1")
    with pytest.raises(ValueError, match="job_id"):
        sensors.AcmeImportSensor(task_id="wait", job_id="")


def test_the_dag_of_the_readme_parses():
    (dag_file, *_) = code("README.md")
    module = run(dag_file, "readme_dag")
    dag = module.leaves()
    assert set(dag.task_ids) == {"upload", "leaves_imported", "run_payroll"}
    assert dag.get_task("leaves_imported").upstream_task_ids == {"upload"}


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_the_links_of_a_page_lead_somewhere(page):
    folder = (ROOT / page).parent
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert [target for target in targets if not (folder / target).exists()] == []
