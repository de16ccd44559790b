# SPDX-License-Identifier: Apache-2.0
"""
Imports that operators start, in tries that are killed at any point.

The first try of a task kills its own process with SIGKILL where its ``point`` says. A file in Airflow's home remembers
that it has done so.
"""

from __future__ import annotations

import os
import signal
import threading
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_import_progress.operators import rocketchat_base, zilliz
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator
from airflow_import_progress.operators.rocketchat import RocketChatFileImportOperator
from airflow_import_progress.operators.zilliz import ZillizImportOperator

HEADER = (
    "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
)
GOOD = f"{HEADER}Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
BAD = f"{HEADER}Acme;1;Lovelace;Ada;2;never;AM;02/02/2026;PM;true\n"

#: The points at which a try is killed.
POINTS = ("before_request", "during_request", "after_answer", "while_waiting", "before_end", "after_end")
#: The points for the vendors that can be searched for an import.
SEARCHED_POINTS = ("before_request", "after_answer", "before_end")
#: The seconds after which a process is killed while its request is processed.
REQUEST_SECONDS = 2.0

# The sandbox processes a request at once, so that a search need not wait for its effect as long as at a vendor.
zilliz.MAX_START_SECONDS = rocketchat_base.EFFECT_TIMEOUT = 15.0

HOME = Path(os.environ["AIRFLOW_HOME"])


class Killed:
    """The first try of an operator is killed at the point that the id of its task ends with, if any."""

    task_id: str

    @property
    def point(self) -> str:
        """The point."""
        return self.task_id.removeprefix("poke_").removeprefix("rocketchat_").removeprefix("zilliz_")

    def prepare(self, hook: Any) -> Any:
        prepared = super().prepare(hook)  # type: ignore[misc]

        def send() -> Any:
            self._die("before_request")
            if self.point == "during_request":
                threading.Timer(REQUEST_SECONDS, self._die, ["during_request"]).start()
            import_ = prepared.send()
            self._die("after_answer")
            return import_

        return replace(prepared, send=send)

    def _wait(self, context: Any) -> Any:
        self._die("while_waiting")
        return super()._wait(context)  # type: ignore[misc]

    def execute_complete(self, context: Any, event: Any = None, **kwargs: Any) -> Any:
        self._die("before_end")
        result = super().execute_complete(context, event, **kwargs)  # type: ignore[misc]
        self._die("after_end")
        return result

    def _die(self, point: str) -> None:
        mark = HOME / f"killed-{self.task_id}"
        if point == self.point and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class KilledLeaves(Killed, LuccaLeaveImportOperator):
    """An import of leaves that is killed."""


class KilledFile(Killed, RocketChatFileImportOperator):
    """An import of a file into Rocket.Chat that is killed."""


class KilledJob(Killed, ZillizImportOperator):
    """An import job of Zilliz that is killed."""


def written(name: str, content: str) -> str:
    """Return the path of a file with this content in Airflow's home."""
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


COMMON: dict[str, Any] = {"poke_interval": 5, "timeout": 240}

with DAG("starts", schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=1)}):
    for point in (*POINTS, "never"):
        conn_id = "lucca_slow" if point == "during_request" else "lucca_default"
        KilledLeaves(task_id=point, file=written(point, GOOD), lucca_conn_id=conn_id, **COMMON)
    for fault in ("lost_answer", "refused"):
        file = written(fault, GOOD)
        KilledLeaves(task_id=fault, file=file, lucca_conn_id=f"lucca_{fault}", **COMMON)
    KilledLeaves(task_id="failed", file=written("failed", BAD), **COMMON)
    KilledLeaves(task_id="poke_while_waiting", file=written("poke_while_waiting", GOOD), deferrable=False, **COMMON)
    KilledLeaves.partial(task_id="mapped", **COMMON).expand(file=[written("mapped_0", GOOD), written("mapped_1", GOOD)])
    for point in SEARCHED_POINTS:
        # A workspace has one import at a time.
        KilledFile(
            task_id=f"rocketchat_{point}",
            file=archive(),
            importer_key="csv",
            rocketchat_conn_id=f"rocketchat_{point}",
            **COMMON,
        )
        KilledJob(
            task_id=f"zilliz_{point}",
            collection_name=point,
            object_urls=f"s3://bucket/{point}.parquet",
            cluster_id="in01-sandbox",
            **COMMON,
        )
