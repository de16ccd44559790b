# SPDX-License-Identifier: Apache-2.0
"""The imports that the demo and the UI start, and the expected end of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LEAVES = """\
legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved
Acme SAS;00042;Dupont;Jeanne;1;03/08/2026;AM;14/08/2026;PM;true
Acme SAS;00043;Martin;Paul;1;10/08/2026;AM;10/08/2026;AM;true
"""

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


_LEADS_WITH_BROKEN_LINES = """\
full_name,email,phone
Jeanne Dupont,jeanne@example.com,+33 1 99 00 00 01
Paul Martin
Linh Nguyen
Ada Lovelace
"""


@dataclass(frozen=True, eq=False)
class Case:
    """
    One import, as a run of an example DAG.

    :param title: A short description for people.
    :param vendor: The vendor's name in the sandbox.
    :param dag_id: The example DAG.
    :param next_task: The task that must run only if the import succeeds.
    :param good: Whether the import succeeds.
    :param wait_task: The task that waits for the import: a sensor or an operator.
    :param start_task: The task that starts the import; None: it is ``wait_task``, an operator.
    :param conf: The configuration of the DAG run.
    :param files: The contents of files, by the parameters of the DAG run that receive their paths.
    :param meanwhile: Changes of the sandbox during the wait.
    """

    title: str
    vendor: str
    dag_id: str
    next_task: str
    good: bool
    wait_task: str = "wait_for_import"
    start_task: str | None = "upload"
    conf: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    meanwhile: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_alone(self) -> bool:
        """Whether no other import may run at the vendor, because a Rocket.Chat workspace has one at a time."""
        return self.vendor == "rocketchat"

    @property
    def expected(self) -> tuple[str, str]:
        """The states in which the waiting task and the next task must end."""
        return ("success", "success") if self.good else ("failed", "upstream_failed")

    def conf_with_files(self, folder: Path) -> dict[str, object]:
        """
        Write the files of the DAG run, and return its configuration.

        :param folder: The folder for the files.
        """
        paths = {}
        for name, content in self.files.items():
            file = folder / f"{self.vendor} {self.title}.csv"
            file.write_text(content)
            paths[name] = str(file)
        return {**self.conf, **paths}


CASES = (
    Case(
        "leaves",
        "lucca",
        "lucca_leaves",
        "run_payroll",
        good=True,
        wait_task="import_leaves",
        start_task=None,
        files={"file": _LEAVES},
    ),
    Case(
        "leaves with a broken date",
        "lucca",
        "lucca_leaves",
        "run_payroll",
        good=False,
        wait_task="import_leaves",
        start_task=None,
        files={"file": _BROKEN_LEAVES},
    ),
    Case("leaves without workers", "lucca", "lucca_leaves_without_workers", "run_payroll", good=True),
    Case(
        "leaves with a broken date, without workers",
        "lucca",
        "lucca_leaves_without_workers",
        "run_payroll",
        good=False,
        conf={"csv": _BROKEN_LEAVES},
    ),
    Case("user locations", "lucca", "lucca_user_locations", "publish_seating_plan", good=True),
    Case(
        "user locations of a stranger",
        "lucca",
        "lucca_user_locations",
        "publish_seating_plan",
        good=False,
        conf={"csv": _USER_LOCATIONS_WITH_A_STRANGER},
    ),
    Case(
        "vectors",
        "zilliz",
        "zilliz_vectors",
        "serve_search",
        good=True,
        wait_task="import_vectors",
        start_task=None,
    ),
    Case(
        "vectors in a text document",
        "zilliz",
        "zilliz_vectors",
        "serve_search",
        good=False,
        wait_task="import_vectors",
        start_task=None,
        conf={"object_url": "https://s3.us-west-2.amazonaws.com/my-bucket/medium_articles.docx"},
    ),
    Case("leads", "leadsy", "leadsy_leads", "call_leads", good=True),
    Case(
        "leads with broken lines",
        "leadsy",
        "leadsy_leads",
        "call_leads",
        good=False,
        conf={"csv": _LEADS_WITH_BROKEN_LINES},
    ),
    Case(
        "users, the server restarted",
        "rocketchat",
        "rocketchat_users",
        "greet_users",
        good=False,
        wait_task="import_users",
        start_task=None,
        meanwhile={"restart": True},
    ),
    Case(
        "avatars, cancelled",
        "rocketchat",
        "rocketchat_avatars",
        "announce",
        good=False,
        start_task="start_download",
        meanwhile={"cancel": True},
    ),
    Case("avatars", "rocketchat", "rocketchat_avatars", "announce", good=True, start_task="start_download"),
    Case(
        "users", "rocketchat", "rocketchat_users", "greet_users", good=True, wait_task="import_users", start_task=None
    ),
)
