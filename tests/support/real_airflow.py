# SPDX-License-Identifier: Apache-2.0
"""What the tests in a real Airflow share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.local_airflow import LocalAirflow


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
