# SPDX-License-Identifier: Apache-2.0
"""
The state of the sandbox: imports, credentials, coming faults and imports, and received requests.

The server and the methods of :class:`~airflow_import_progress.sandbox.Sandbox` use it from different threads.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypedDict, TypeVar

from airflow_import_progress.sandbox.checks import InvalidInputError, Json
from airflow_import_progress.sandbox.faults import FaultRules
from airflow_import_progress.sandbox.handler_errors import HandlerErrors
from airflow_import_progress.sandbox.next_imports import NextImport, NextImports
from airflow_import_progress.sandbox.rates import RateLimiter, RateLimitStatus
from airflow_import_progress.sandbox.script import Script
from airflow_import_progress.sandbox.simulated_import import SimulatedImport, UnknownImportError

MAX_REQUESTS_KEPT = 10_000

_State = TypeVar("_State")


class RecordedRequest(TypedDict):
    """A request that the sandbox received. ``status`` is None while it has no answer."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    status: int | None
    vendor: str | None
    import_id: str | None
    authorized: bool
    headers: dict[str, str]


class RequestLog:
    """The last requests to vendors, and the number of all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque(maxlen=MAX_REQUESTS_KEPT)
        self._counts: Counter[tuple[str | None, str | None]] = Counter()

    def add(self, request: RecordedRequest) -> None:
        """
        Add a request. The server sets its status later.

        :param request: The request, without secrets.
        """
        with self._lock:
            self._requests.append(request)
            self._counts[request["vendor"], request["import_id"]] += 1

    def matching(self, vendor: str | None, import_id: str | None) -> list[RecordedRequest]:
        """
        Return copies of the last requests, oldest first.

        :param vendor: Name of the vendor. None: any.
        :param import_id: Id of the import. None: any.
        """
        with self._lock:
            return [
                request.copy()
                for request in self._requests
                if vendor in (None, request["vendor"]) and import_id in (None, request["import_id"])
            ]

    def count(self, vendor: str | None, import_id: str | None) -> int:
        """
        Return the number of all requests.

        :param vendor: Name of the vendor. None: any.
        :param import_id: Id of the import. None: any.
        """
        with self._lock:
            return sum(
                count
                for (its_vendor, its_import_id), count in self._counts.items()
                if vendor in (None, its_vendor) and import_id in (None, its_import_id)
            )


class World:
    """
    Everything that changes while the sandbox runs. Safe to use from several threads.

    :param import_duration: Default duration of an import in seconds, 0 or more.
    :param credentials: The credentials that each vendor accepts, by vendor and name.
    :param rate_limits: Number of requests that are answered in 60 seconds, by vendor. No entry: no limit.
    :param clock: Returns the time, in seconds since 1970.
    """

    faults: FaultRules
    requests: RequestLog
    handler_errors: HandlerErrors

    def __init__(
        self,
        import_duration: float,
        credentials: Mapping[str, Mapping[str, str]],
        rate_limits: Mapping[str, int],
        clock: Callable[[], float],
    ) -> None:
        self.import_duration = import_duration
        self.clock = clock
        self._initial_credentials = credentials
        self._initial_rate_limits = rate_limits
        self._lock = threading.RLock()
        # Neither a change of credentials nor a reset clears them: clients may still send the earlier ones.
        self._secrets: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Return to the initial state."""
        with self._lock:
            self.faults = FaultRules()
            self.requests = RequestLog()
            self.handler_errors = HandlerErrors()
            self._imports: dict[tuple[str, str], SimulatedImport] = {}
            self._next_imports = NextImports()
            self._credentials = {name: dict(values) for name, values in self._initial_credentials.items()}
            self._states: dict[type[Any], Any] = {}
            self.limit_requests(self._initial_rate_limits)

    def locked(self) -> AbstractContextManager[object]:
        """Return a context in which no other thread reads or changes imports, credentials and vendors' states."""
        return self._lock

    def state(self, cls: type[_State]) -> _State:
        """
        Return the only object of a class, in which a vendor keeps its own state until the reset.

        :param cls: The class. It can be called without arguments.
        """
        with self._lock:
            if cls not in self._states:
                self._states[cls] = cls()
            state: _State = self._states[cls]
            return state

    def add_import(
        self,
        vendor: str,
        kind: str,
        script: Script,
        import_id: str,
        *,
        file_name: str | None = None,
        analysis_only: bool = False,
        stop_others: bool = False,
    ) -> SimulatedImport:
        """
        Add an import and return it.

        :param vendor: Name of the vendor.
        :param kind: One of the vendor's kinds of import.
        :param script: Its course.
        :param import_id: Its id.
        :param file_name: Name of the uploaded file.
        :param analysis_only: Whether the client requested an analysis only.
        :param stop_others: Whether the vendor's earlier imports are stopped.
        """
        with self._lock:
            self._check_new(vendor, import_id)
            if stop_others:
                for earlier in self.imports_of(vendor):
                    earlier.stop()
            added = SimulatedImport(vendor, kind, import_id, script, file_name, analysis_only, clock=self.clock)
            self._imports[vendor, import_id] = added
        return added

    def add_next_import(self, next_import: NextImport) -> None:
        """
        Add an import that a client will start.

        :param next_import: The import.
        """
        with self._lock:
            self._check_new(next_import.vendor, next_import.import_id)
            self._next_imports.add(next_import)

    def remove_next_import(self, vendor: str, import_id: str) -> bool:
        """
        Remove an import that no client has started yet, and return whether there was one.

        :param vendor: Name of the vendor.
        :param import_id: Its id.
        """
        with self._lock:
            return self._next_imports.remove(vendor, import_id)

    def start_import(
        self,
        vendor: str,
        kind: str,
        script: Script,
        import_id: str,
        *,
        file_name: str | None = None,
        analysis_only: bool = False,
        stop_others: bool = False,
    ) -> SimulatedImport:
        """
        Add the import that a client starts, and return it: with script and id of the next import, if there is one.

        :param vendor: Name of the vendor.
        :param kind: One of the vendor's kinds of import.
        :param script: Its course unless there is a next import.
        :param import_id: Its id unless there is a next import.
        :param file_name: Name of the uploaded file.
        :param analysis_only: Whether the client requested an analysis only.
        :param stop_others: Whether the vendor's earlier imports are stopped.
        """
        with self._lock:
            next_import = self._next_imports.take(vendor, kind, file_name)
            if next_import is not None:
                script, import_id = next_import.script, next_import.import_id
            return self.add_import(
                vendor,
                kind,
                script,
                import_id,
                file_name=file_name,
                analysis_only=analysis_only,
                stop_others=stop_others,
            )

    def _check_new(self, vendor: str, import_id: str) -> None:
        if (vendor, import_id) in self._imports:
            raise InvalidInputError("import_id", "exists already")
        if self._next_imports.has(vendor, import_id):
            raise InvalidInputError("import_id", "is that of a next import already")

    def find(self, vendor: str, kind: str, import_id: str) -> SimulatedImport:
        """
        Return an import.

        :param vendor: Name of the vendor.
        :param kind: The requested kind. An id of another kind is unknown.
        :param import_id: Its id.
        :raises UnknownImportError: If there is none.
        """
        with self._lock:
            found = self._imports.get((vendor, import_id))
        if found is None or found.kind != kind:
            raise UnknownImportError(import_id)
        return found

    def poll(self, vendor: str, kind: str, import_id: str, body: Callable[[float], Json]) -> Json:
        """
        Return the body of the answer to a progress request, and count the request as answered.

        :param vendor: Name of the vendor.
        :param kind: The requested kind.
        :param import_id: Id of the import.
        :param body: Makes the vendor's body from a progress.
        :raises UnknownImportError: If there is none.
        """
        with self._lock:
            polled = self.find(vendor, kind, import_id)
            requests_before = polled.answers_given
            polled.answers_given += 1
            if polled.script.answers:
                return polled.script.answer_at(requests_before)
            return body(polled.script.progress_at(polled.elapsed()))

    def imports(self) -> list[SimulatedImport]:
        """Return the imports of all vendors, oldest first."""
        with self._lock:
            return list(self._imports.values())

    def imports_of(self, vendor: str) -> list[SimulatedImport]:
        """Return the imports of a vendor, oldest first."""
        return [import_ for import_ in self.imports() if import_.vendor == vendor]

    def credentials_of(self, vendor: str) -> Mapping[str, str]:
        """Return the credentials that a vendor accepts now."""
        with self._lock:
            return dict(self._credentials[vendor])

    def replace_credentials(self, vendor: str, credentials: Mapping[str, str]) -> None:
        """
        Replace credentials of a vendor.

        :param vendor: Name of the vendor.
        :param credentials: The new ones by name. The others stay.
        """
        with self._lock:
            self._credentials[vendor].update(credentials)

    def limit_requests(self, rate_limits: Mapping[str, int]) -> None:
        """
        Replace the rate limits and start new counts.

        :param rate_limits: Number of requests that are answered in 60 seconds, by vendor. No entry: no limit.
        """
        with self._lock:
            self._rate_limits = rate_limits
            self._rate_limiter = RateLimiter()

    def count_request(self, vendor: str, group: str) -> RateLimitStatus | None:
        """
        Count a request and return the state of the rate limit. None: there is no limit.

        :param vendor: Name of the vendor.
        :param group: Name of the group of requests that are counted together.
        """
        with self._lock:
            limit = self._rate_limits.get(vendor)
            return None if limit is None else self._rate_limiter.take(vendor, group, limit, self.clock())

    def add_secret(self, secret: str) -> None:
        """
        Redact a text in everything that is recorded from now on.

        :param secret: A credential of a client.
        """
        with self._lock:
            self._secrets.add(secret)

    def redact(self, text: str) -> str:
        """
        Replace every secret of the sandbox in a text.

        :param text: A text that a client sent.
        """
        with self._lock:
            # A secret may be the beginning of another one.
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, "***")
        return text
