# SPDX-License-Identifier: Apache-2.0
"""The command ``airflow-import-progress list`` as users run it beside the UI while real tasks wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.ui.browsing import ADMIN, STRANGER, Waits
from tools.local_airflow import LocalAirflow


def list_imports(airflow: LocalAirflow, user: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command for a user whose password is their name."""
    environment = {**os.environ, "AIRFLOW_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    environment |= {"AIRFLOW_USERNAME": user, "AIRFLOW_PASSWORD": user}
    command = [sys.executable, "-m", "airflow_import_progress", "list", "--json", "--api-url", airflow.url]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


def test_it_lists_every_wait(airflow: LocalAirflow, waits: Waits, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in list_imports(airflow, ADMIN, tmp_path).stdout.splitlines()]
    listed = {line["task_id"]: (line["import_id"], line["state"]) for line in lines if line["dag_id"] == waits.dag_id}
    assert listed == {task: (import_id, "running") for task, import_id in waits.import_ids.items()}


def test_a_user_without_permission_is_refused(airflow: LocalAirflow, waits: Waits, tmp_path: Path) -> None:
    done = list_imports(airflow, STRANGER, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "HTTP 403" in done.stderr
