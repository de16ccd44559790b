# SPDX-License-Identifier: Apache-2.0
"""What the tests in a real Airflow share."""

from __future__ import annotations

import pytest

from demo.local_airflow import LocalAirflow


def add_ends_of_logs(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the end of each component's log to the report of a failed test that uses the fixture ``airflow``."""
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and isinstance(airflow, LocalAirflow):
        for component in airflow.components:
            tail = "\n".join(airflow.component_log(component).splitlines()[-25:])
            report.sections.append((f"the end of the log of {component}", tail))
