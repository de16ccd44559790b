# SPDX-License-Identifier: Apache-2.0
"""
Imports that operators start, in tries that are killed at any point.

The first try of a task kills its own process with SIGKILL at the point with which the task's id ends. A file in
Airflow's home remembers that it has done so.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG
from import_files import BAD_LEAVES, HOME, LEAVES, LOCATIONS, archive, written
from start_specs import FAULTS, HAS_ALL_TASKS, POINTS

from airflow_import_progress.operators import rocketchat_base, zilliz
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator, LuccaUserLocationImportOperator
from airflow_import_progress.operators.rocketchat import (
    RocketChatFileImportOperator,
    RocketChatPendingFilesImportOperator,
    RocketChatUserImportOperator,
)
from airflow_import_progress.operators.zilliz import ZillizImportOperator

#: The seconds after which a process is killed while its request is processed.
REQUEST_SECONDS = 10.0

# The sandbox processes a request at once, so that a search need not wait for its effect as long as at a vendor.
zilliz.MAX_START_SECONDS = rocketchat_base.EFFECT_TIMEOUT = 15.0


class Killed:
    """The first try of an operator is killed at the point with which the id of its task ends, if any."""

    task_id: str

    def prepare(self, hook: Any) -> Any:
        prepared = super().prepare(hook)  # type: ignore[misc]

        def send() -> Any:
            self._die("before_request")
            if self._dies("during_request"):
                threading.Timer(REQUEST_SECONDS, self._die, ["during_request"]).start()
            import_ = prepared.send()
            self._die("after_answer")
            return import_

        return replace(prepared, send=send)

    def continue_import(self, hook: Any, import_: Any, record: Any) -> bool:
        continued: bool = super().continue_import(hook, import_, record)  # type: ignore[misc]
        self._die("after_run")
        return continued

    def _wait(self, context: Any) -> Any:
        self._die("while_waiting")
        return super()._wait(context)  # type: ignore[misc]

    def execute_complete(self, context: Any, event: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._die("before_end")
        result = super().execute_complete(context, event, *args, **kwargs)  # type: ignore[misc]
        self._die("after_end")
        return result

    def _dies(self, point: str) -> bool:
        return self.task_id.endswith(f"_{point}") and not self._mark.exists()

    def _die(self, point: str) -> None:
        if self._dies(point):
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    @property
    def _mark(self) -> Any:
        return HOME / f"killed-{self.task_id}"


class KilledLeaves(Killed, LuccaLeaveImportOperator):
    """An import of leaves that is killed."""


class KilledLocations(Killed, LuccaUserLocationImportOperator):
    """An import of user locations that is killed."""


class KilledFile(Killed, RocketChatFileImportOperator):
    """An import of a file into Rocket.Chat that is killed."""


class KilledUsers(Killed, RocketChatUserImportOperator):
    """An import of users into Rocket.Chat that is killed."""


class KilledPendingFiles(Killed, RocketChatPendingFilesImportOperator):
    """A download of pending files of Rocket.Chat that is killed."""


class KilledJob(Killed, ZillizImportOperator):
    """An import job of Zilliz Cloud or of a Milvus that is killed."""


USERS = [{"importIds": ["1"], "emails": ["jdoe@x.example"], "username": "jdoe"}]

#: The operator of each kind of import, and those of its arguments that do not depend on the task.
OPERATORS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "leaves": (KilledLeaves, {}),
    "leaves_poke": (KilledLeaves, {"deferrable": False}),
    "locations": (KilledLocations, {}),
    "rocketchat_file": (KilledFile, {"file": archive(), "importer_key": "csv"}),
    "rocketchat_users": (KilledUsers, {"users": USERS}),
    "rocketchat_pending": (KilledPendingFiles, {"kind": "files"}),
    "zilliz_v1": (KilledJob, {}),
    "zilliz_v2": (KilledJob, {"zilliz_conn_id": "zilliz_v2"}),
    "milvus": (KilledJob, {"zilliz_conn_id": "milvus"}),
}


def arguments_of(kind: str, task_id: str) -> dict[str, Any]:
    """Return the arguments of an operator by which the sandbox recognizes the task."""
    if kind.startswith("leaves"):
        conn_id = "lucca_slow" if task_id.endswith("during_request") else "lucca_default"
        return {"file": written(task_id, LEAVES), "lucca_conn_id": conn_id}
    if kind == "locations":
        return {"file": written(task_id, LOCATIONS)}
    if kind.startswith("rocketchat"):
        # A workspace has one import at a time.
        return {"rocketchat_conn_id": task_id}
    files = {"files": f"{task_id}.parquet"} if kind == "milvus" else {"object_urls": f"s3://bucket/{task_id}.parquet"}
    return {"collection_name": task_id, **files}


COMMON: dict[str, Any] = {"poke_interval": 5, "timeout": 600}
DEFAULTS: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=1)}

# A process that starts takes a whole processor: more at once would starve the API server.
with DAG("starts", schedule=None, default_args=DEFAULTS, max_active_tasks=4):
    for kind, points in POINTS.items():
        operator, arguments = OPERATORS[kind]
        for point in points:
            task_id = f"{kind}_{point}"
            operator(task_id=task_id, **arguments, **arguments_of(kind, task_id), **COMMON)
    for fault in FAULTS:
        task_id = f"leaves_{fault}"
        KilledLeaves(task_id=task_id, file=written(task_id, LEAVES), lucca_conn_id=f"lucca_{fault}", **COMMON)
    if HAS_ALL_TASKS:
        KilledLeaves(task_id="leaves_good", file=written("leaves_good", LEAVES), **COMMON)
        KilledLeaves(task_id="leaves_bad", file=written("leaves_bad", BAD_LEAVES), **COMMON)
        KilledLeaves.partial(task_id="leaves_mapped", **COMMON).expand(
            file=[written(f"leaves_mapped_{index}", LEAVES) for index in range(2)]
        )
