# SPDX-License-Identifier: Apache-2.0
"""The tests of docs/testing.md, run in a project of their own."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path):
    """Return a folder with the files of the page."""
    page = (ROOT / "docs/testing.md").read_text()
    for name, content in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if importlib.util.find_spec("airflow.sdk") is None:
            # As the page says for Airflow 2.11.
            older = "from airflow import DAG\nfrom airflow.decorators import task"
            content = content.replace("from airflow.sdk import DAG, task", older)
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    return tmp_path


def run_tests_of(project):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    # An editable installation has the entry point from its next installation on.
    is_installed = any(it.value == "airflow_import_progress.testing" for it in entry_points(group="pytest11"))
    options = [] if is_installed else ["-p", "airflow_import_progress.testing"]
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", *options],
        cwd=project,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_the_tests_of_the_page_pass(project):
    done = run_tests_of(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout
