# SPDX-License-Identifier: Apache-2.0
"""
A sandbox, a PostgreSQL and a real Airflow for the tests of one folder.

Each folder has its own DAGs and, in its ``conftest.py``, a fixture ``airflow_options``: the arguments of
``LocalAirflow``. Run one folder at a time, such as ``pytest tests/e2e/gating``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tools.local_airflow import LocalAirflow
from tools.postgres import Postgres, postgres

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse to run two folders at once, because they would share one Airflow."""
    folders = {item.path.relative_to(HERE).parts[0] for item in items if item.path.is_relative_to(HERE)}
    if len(folders) > 1:
        raise pytest.UsageError(f"Each of {', '.join(sorted(folders))} needs a real Airflow: run one at a time.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the end of each component's log to the report of a failed test that uses the fixture ``airflow``."""
    report: pytest.TestReport = yield
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and isinstance(airflow, LocalAirflow):
        for component in airflow.components:
            tail = "\n".join(airflow.component_log(component).splitlines()[-25:])
            report.sections.append((f"the end of the log of {component}", tail))
    return report


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The vendors' sandbox."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    """A PostgreSQL, because SQLite refuses to start many runs while the scheduler works."""
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def airflow(database: Postgres, airflow_options: dict[str, Any]) -> Iterator[LocalAirflow]:
    """A real Airflow with the DAGs of the folder."""
    with LocalAirflow(database_url=database.url, **airflow_options) as running:
        yield running
