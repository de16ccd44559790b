# SPDX-License-Identifier: Apache-2.0
"""The files that the tasks import, in Airflow's home."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

HOME = Path(os.environ["AIRFLOW_HOME"])

LEAVES = (
    "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    "Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
)
BAD_LEAVES = LEAVES.replace("01/02/2026", "never")
LOCATIONS = "login;workLocationName;areaName;date;position;comment;isDeletion\nada;Paris;B1;2026-02-01;FullDay;;false\n"


def written(name: str, content: str) -> str:
    """Return the path of a CSV file with this content."""
    file = HOME / f"{name}.csv"
    if not file.exists():
        file.write_text(content)
    return str(file)


def archive() -> str:
    """Return the path of an archive of users for Rocket.Chat."""
    file = HOME / "users.zip"
    if not file.exists():
        with zipfile.ZipFile(file, "w") as made:
            made.writestr("users.csv", "jdoe,jdoe@x.example,John Doe\n")
    return str(file)
