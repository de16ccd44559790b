# SPDX-License-Identifier: Apache-2.0
"""The imports that the demo and the UI start, and what is expected of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"

SENSOR = "wait_for_import"

_BROKEN_LEAVES = """\
legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved
Acme SAS;00042;Dupont;Jeanne;1;03/08/2026;AM;14/08/2026;PM;true
Acme SAS;00043;Martin;Paul;1;next Monday;AM;10/08/2026;AM;true
"""

_USER_LOCATIONS_WITH_A_STRANGER = """\
login;workLocationName;areaName;date;position;comment;isDeletion
jdupont;Paris;B1;2026-09-14;FullDay;;false
unknown.person;Paris;B2;2026-09-14;FirstHalf;;false
"""


@dataclass(frozen=True)
class Case:
    """
    One import, as a run of an example DAG.

    :param title: what is imported, for people.
    :param dag_id: the example DAG that imports it.
    :param next_task: the task that must run only if the import is good.
    :param good: whether the import succeeds.
    :param csv: the file to import; the DAG's own by default.
    """

    title: str
    dag_id: str
    next_task: str
    good: bool
    csv: str | None = None

    @property
    def conf(self) -> dict[str, object]:
        """Return the configuration of the DAG run."""
        return {} if self.csv is None else {"csv": self.csv}

    @property
    def expected(self) -> tuple[str, str]:
        """Return the states in which the sensor and the next task must end."""
        return ("success", "success") if self.good else ("failed", "upstream_failed")


CASES = (
    Case("leaves", "lucca_leaves", "run_payroll", good=True),
    Case("leaves with a broken date", "lucca_leaves", "run_payroll", good=False, csv=_BROKEN_LEAVES),
    Case("user locations", "lucca_user_locations", "publish_seating_plan", good=True),
    Case(
        "user locations of a stranger",
        "lucca_user_locations",
        "publish_seating_plan",
        good=False,
        csv=_USER_LOCATIONS_WITH_A_STRANGER,
    ),
)
