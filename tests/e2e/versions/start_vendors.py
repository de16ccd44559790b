# SPDX-License-Identifier: Apache-2.0
"""The vendors at which the tasks start imports, and the imports that each task has started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sandbox.world import RecordedRequest
from tests.e2e.versions.dags.start_specs import ACTIONS, FAULTS, HAS_ALL_TASKS, task_ids
from tests.e2e.versions.held_sandbox import HeldSandbox

#: How long an import takes that is not held, in seconds: a few polls.
IMPORT_SECONDS = 12.0
#: How long a request takes that is interrupted, in seconds: as long as a connection allows.
_REQUEST_SECONDS = 300

_FAULTS: dict[str, tuple[dict[str, object], bool]] = {
    "slow": ({"delay": 25}, True),
    "lost_answer": ({"reset": True}, True),
    "refused": ({"status": 400, "body": '{"Message": "no column accountId"}'}, False),
}
_RUNS = ("/api/v1/startImport", "/api/v1/import.run")


class StartVendors:
    """
    Sandboxes, because a fault concerns the first request of a vendor, and a workspace has one import at a time.

    :param sandbox: The sandbox of the tasks that need none of their own.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._default = sandbox
        self._faulty = {name: Sandbox(import_duration=IMPORT_SECONDS) for name in _FAULTS if FAULTS}
        self._workspaces = {task_id: Sandbox(import_duration=IMPORT_SECONDS) for task_id in task_ids("rocketchat")}
        self.held = {action: HeldSandbox() for action in ACTIONS if HAS_ALL_TASKS}

    def __enter__(self) -> StartVendors:
        with ExitStack() as running:
            for sandbox in (*self._faulty.values(), *self._workspaces.values(), *self.held.values()):
                running.enter_context(sandbox)
            self._running = running.pop_all()
        for name, sandbox in self._faulty.items():
            fault, processed = _FAULTS[name]
            sandbox.add_fault(fault, path_contains="leavePeriods", processed=processed)
        for sandbox in self.held.values():
            for path in ("user-locations", "import/create"):
                sandbox.add_fault({"delay": _REQUEST_SECONDS}, path_contains=path, processed=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def connections(self) -> dict[str, dict[str, Any]]:
        """Return the Airflow connections, by connection id."""
        found = {f"lucca_{name}": sandbox.airflow_connection("lucca") for name, sandbox in self._faulty.items()}
        found |= {task_id: sandbox.airflow_connection("rocketchat") for task_id, sandbox in self._workspaces.items()}
        zilliz = self._default.airflow_connection("zilliz")
        found["zilliz_v2"] = _with_extras(zilliz, api_version="v2")
        found["milvus"] = {**zilliz, "extra": {"api_version": "v2"}}
        for action, sandbox in self.held.items():
            patient = {"timeout": _REQUEST_SECONDS}
            for vendor in ("lucca", "rocketchat", "zilliz"):
                found[f"{vendor}_{action}"] = _with_extras(sandbox.airflow_connection(vendor), **patient)
            found[f"zilliz_v2_{action}"] = _with_extras(
                sandbox.airflow_connection("zilliz"), api_version="v2", **patient
            )
        return found

    def imports(self) -> Counter[str]:
        """Return how many imports each task has started."""
        return Counter(task for task, _, _ in self._started())

    def polls(self, task: str) -> Iterator[RecordedRequest]:
        """Return the requests about the imports of a task."""
        for its_task, sandbox, import_id in self._started():
            if its_task == task:
                yield from sandbox.requests(import_id)

    def runs(self, task: str) -> int:
        """Return how often a task has let Rocket.Chat import the records that it had prepared."""
        requests = self._workspaces[task].requests(vendor="rocketchat")
        return sum(request["path"] in _RUNS for request in requests)

    def _started(self) -> Iterable[tuple[str, Sandbox, str]]:
        for sandbox in (self._default, *self._faulty.values(), *self.held.values()):
            for import_ in sandbox.imports():
                if import_["vendor"] != "rocketchat" and import_["file_name"] is not None:
                    yield _task_of(import_["file_name"]), sandbox, import_["import_id"]
        workspaces = self._workspaces | {f"{action}_rocketchat": sandbox for action, sandbox in self.held.items()}
        for task, sandbox in workspaces.items():
            for import_ in sandbox.imports():
                if import_["vendor"] == "rocketchat":
                    yield task, sandbox, import_["import_id"]


def _task_of(file_name: str) -> str:
    """Return the task that imports a file, after which the file is named."""
    name = file_name.rpartition("/")[2].partition(".")[0]
    return f"{name[:-2]}[{name[-1]}]" if name.startswith("leaves_mapped") else name


def _with_extras(connection: dict[str, Any], **extras: object) -> dict[str, Any]:
    return {**connection, "extra": {**connection.get("extra", {}), **extras}}
