# SPDX-License-Identifier: Apache-2.0
"""The vendors of the waits: two sandboxes, because a workspace of Rocket.Chat has one import at a time."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sandbox.world import RecordedRequest
from tests.e2e.ha.dags.wait_specs import WAITS, Kind, WaitSpec

#: The vendor and the name of each kind in the sandbox.
_IN_SANDBOX: Mapping[Kind, tuple[str, str]] = {
    "leave": ("lucca", "leave"),
    "user_location": ("lucca", "user_location"),
    "rocketchat": ("rocketchat", "csv"),
    "zilliz": ("zilliz", "cloud"),
    "leadsy": ("leadsy", "lead"),
}

#: The credential of each vendor that is replaced.
_KEYS = {"lucca": "api_key", "rocketchat": "auth_token", "zilliz": "api_key", "leadsy": "token"}

#: When the first of the imports that are not held ends, and the time between two of these ends, in seconds.
_FIRST_END, _BETWEEN_ENDS = 50, 7
#: The published limits, of which other clients take most at Lucca: the waits there would send more than is left.
_RATE_LIMITS = {"lucca": 5, "rocketchat": 10, "zilliz": 1200}


class Vendors:
    """All vendors, at fixed addresses and with their rate limits, with one import for each wait."""

    def __init__(self) -> None:
        self._first = Sandbox(port=_reserved_port(), rate_limits=_RATE_LIMITS)
        self._second_workspace = Sandbox(port=_reserved_port(), rate_limits=_RATE_LIMITS)
        self.import_ids: dict[str, str] = {}

    def __enter__(self) -> Vendors:
        with ExitStack() as running:
            for sandbox in (self._first, self._second_workspace):
                running.enter_context(sandbox)
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def connections(self) -> dict[str, dict[str, Any]]:
        """Return the Airflow connections with the credentials that are valid now, by connection id."""
        return {conn_id: sandbox.airflow_connection(vendor) for conn_id, (sandbox, vendor) in self._connected().items()}

    def create_imports(self) -> None:
        """Create the imports. The progress of those that are held does not change until they are released."""
        ends_after = _FIRST_END
        of_workspaces: dict[Sandbox, str] = {}
        for wait in WAITS:
            sandbox = self._sandbox_of(wait)
            if wait.kind == "rocketchat" and sandbox in of_workspaces:
                self.import_ids[wait.name] = of_workspaces[sandbox]
                continue
            if wait.ending == "never":
                script: dict[str, Any] = {"points": [[0, 10]]}
            elif wait.is_held:
                script = {"duration": 0}
            else:
                script = {"duration": ends_after}
                ends_after += _BETWEEN_ENDS
            if wait.ending == "failing":
                script["fail_at"] = 50
            import_id = self.import_ids[wait.name] = sandbox.create_import(*_IN_SANDBOX[wait.kind], script)
            if wait.kind == "rocketchat":
                of_workspaces[sandbox] = import_id
            if wait.is_held:
                body = json.dumps(_RUNNING[wait.kind](import_id))
                fault = {"body": body, "content_type": "application/json"}
                sandbox.add_fault(fault, import_id=import_id, times=None)

    def release_imports(self) -> None:
        """Let the held imports end."""
        for sandbox in (self._first, self._second_workspace):
            sandbox.clear_faults()

    def replace_keys(self, change_connection: Callable[..., None]) -> None:
        """
        Replace all keys, in Airflow's connections first.

        :param change_connection: The function that changes a connection in Airflow.
        """
        for conn_id, (sandbox, vendor) in self._connected().items():
            key = f"replaced-{random.getrandbits(64):x}"
            change_connection(conn_id, password=key)
            sandbox.set_credentials(vendor, **{_KEYS[vendor]: key})

    def requests(self, wait: WaitSpec) -> list[RecordedRequest]:
        """Return the requests about the import of a wait."""
        return self._sandbox_of(wait).requests(self.import_ids[wait.name])

    def _sandbox_of(self, wait: WaitSpec) -> Sandbox:
        is_of_second = wait.kind == "rocketchat" and wait.ending == "failing"
        return self._second_workspace if is_of_second else self._first

    def _connected(self) -> dict[str, tuple[Sandbox, str]]:
        first = {f"{vendor}_default": (self._first, vendor) for vendor in _KEYS}
        return {**first, "rocketchat_second_workspace": (self._second_workspace, "rocketchat")}


def _reserved_port() -> int:
    # From below the ephemeral range, so that no other process gets it while the vendor is down.
    while True:
        port = random.randint(20_000, 30_000)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _running_operation(import_id: str) -> object:
    count = {"completed": 50, "total": 500, "error": 0}
    operation = {"_id": import_id, "importerKey": "csv", "ts": "2026-11-22T16:56:38.935Z", "valid": True}
    operation |= {"status": "importer_importing_users", "count": count}
    return {"state": "importing", "operation": operation, "success": True}


#: The vendor's response for an import that is running, by kind.
_RUNNING: Mapping[Kind, Callable[[str], object]] = {
    "leave": lambda _: 10,
    "user_location": lambda _: {"progress": 10},
    "rocketchat": _running_operation,
    "zilliz": lambda _: {"code": 200, "data": {"readyPercentage": 0.1, "errorMessage": None, "details": []}},
    "leadsy": lambda _: {
        "import_file": {
            "status": 1,
            "status_name": "processing",
            "total_records": 500,
            "processed_records": 50,
            "failed_records": 0,
        }
    },
}
