# SPDX-License-Identifier: Apache-2.0
"""The local Airflow cleans up after itself, and says what is wrong when it cannot start."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tools.airflow_api import wait_until
from tools.local_airflow import AirflowStartError, LocalAirflow

# Stands in for a component of Airflow: it has a child in a process group of its own, as running tasks are.
COMPONENT = """
import os, signal, time
if os.fork() == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""

PARENT = """
import subprocess, sys, time
from pathlib import Path
from tools.guard import Guard
guard = Guard(Path(sys.argv[1]))
component = subprocess.Popen([sys.executable, "-c", sys.argv[2]], start_new_session=True)
guard.watch(component.pid)
print(component.pid, flush=True)
time.sleep(600)
"""


def test_nothing_is_left_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", PARENT, str(home), COMPONENT],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        component = psutil.Process(int(parent.stdout.readline()))
        processes = [component, *wait_until("the component's child", component.children, timeout=10)]
        parent.send_signal(signal.SIGKILL)

    def all_gone() -> bool:
        return not home.exists() and not any(
            process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes
        )

    wait_until("the processes and the home to go", all_gone, timeout=20)


def test_a_component_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    airflow = LocalAirflow(tmp_path, database_url="sqlite:////no/such/folder/airflow.db")
    with pytest.raises(AirflowStartError, match=r"(?s)airflow db-migrate ended with .*unable to open"):
        airflow.__enter__()
    assert not airflow.home.exists()
