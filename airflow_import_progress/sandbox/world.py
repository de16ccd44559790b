# SPDX-License-Identifier: Apache-2.0
"""
What the sandbox knows at a time: imports, credentials, faults to come and requests received.

The server and the methods of :class:`~airflow_import_progress.sandbox.Sandbox` use it from different threads.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from airflow_import_progress.sandbox.checks import InvalidInputError, Json, as_count, as_text
from airflow_import_progress.sandbox.faults import Fault, fault_from_json
from airflow_import_progress.sandbox.script import DONE, Script

if TYPE_CHECKING:
    from airflow_import_progress.sandbox.vendor import Vendor

REQUESTS_KEPT = 10_000


class UnknownImportError(Exception):
    """Tell that a vendor has no such import."""


class ImportSummary(TypedDict):
    """An import as the control API lists it."""

    vendor: str
    kind: str
    import_id: str
    progress: float | None
    created_at: float
    file_name: str | None


class RecordedRequest(TypedDict):
    """A request that the sandbox received; ``status`` is None while, or if, it gets no answer."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    status: int | None
    vendor: str | None
    import_id: str | None
    authorized: bool
    headers: dict[str, str]


@dataclass
class Import:
    """
    An imitated import.

    :param vendor: name of the vendor
    :param kind: what is imported, in the vendor's own classification
    :param import_id: what identifies it at the vendor
    :param script: its course
    :param file_name: name of the uploaded file; None: nothing was uploaded
    :param simulated: whether the client asked for an analysis only
    :param answers_given: how many progress requests were answered
    """

    vendor: str
    kind: str
    import_id: str
    script: Script
    file_name: str | None = None
    simulated: bool = False
    answers_given: int = 0
    created_at: float = field(default_factory=time.time)
    created_monotonic: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        """Return the seconds since the import was created."""
        return time.monotonic() - self.created_monotonic


@dataclass
class _FaultRule:
    fault: Fault
    vendor: str | None
    import_id: str | None
    path_contains: str
    times_left: int | None

    def matches(self, vendor: str | None, import_id: str | None, path: str) -> bool:
        return (
            self.vendor in (None, vendor)
            and self.import_id in (None, import_id)
            and self.path_contains in path
            and self.times_left != 0
        )


class World:
    """
    Everything that changes while the sandbox runs; safe to use from several threads.

    :param vendors: the vendors that are imitated
    :param import_duration: seconds that an import takes unless its script says otherwise, 0 or more
    :param credentials: by vendor, credentials other than the vendor's defaults
    """

    def __init__(
        self,
        vendors: Iterable[Vendor],
        import_duration: float,
        credentials: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.import_duration = import_duration
        self._vendors = {vendor.name: vendor for vendor in vendors}
        self._start_credentials = {
            name: {**vendor.credentials, **credentials.get(name, {})} for name, vendor in self._vendors.items()
        }
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget imports, faults and requests, and go back to the credentials of the start."""
        with self._lock:
            self._imports: dict[tuple[str, str], Import] = {}
            self._faults: list[_FaultRule] = []
            self._requests: deque[RecordedRequest] = deque(maxlen=REQUESTS_KEPT)
            self._request_counts: Counter[tuple[str | None, str | None]] = Counter()
            self._credentials = {name: dict(values) for name, values in self._start_credentials.items()}

    def create_import(self, vendor: str, kind: str, script: Json | None = None, import_id: str | None = None) -> str:
        """
        Create an import as a user describes it and return its id.

        :param vendor: name of the vendor
        :param kind: one of the vendor's kinds of import
        :param script: its course, see :meth:`Script.from_json`; None: it succeeds
        :param import_id: its id; None: a new one
        """
        known = self._vendor(vendor)
        if kind not in known.kinds:
            raise InvalidInputError("kind", f"must be one of {', '.join(known.kinds)}")
        course = Script.from_json({} if script is None else script, self.import_duration)
        if course.results is not None and kind not in known.kinds_with_results:
            raise InvalidInputError("script.results", f"{vendor} has no results of the kind {kind}")
        if import_id is not None:
            as_text(import_id, "import_id")
        return self.add_import(vendor, kind, course, import_id=import_id)

    def add_import(
        self,
        vendor: str,
        kind: str,
        script: Script,
        *,
        import_id: str | None = None,
        file_name: str | None = None,
        simulated: bool = False,
    ) -> str:
        """
        Add an import and return its id.

        :param vendor: name of the vendor
        :param kind: one of the vendor's kinds of import
        :param script: its course
        :param import_id: its id; None: a new one
        :param file_name: name of the uploaded file
        :param simulated: whether the client asked for an analysis only
        """
        import_id = str(uuid.uuid4()) if import_id is None else import_id
        with self._lock:
            if (vendor, import_id) in self._imports:
                raise InvalidInputError("import_id", "exists already")
            self._imports[vendor, import_id] = Import(vendor, kind, import_id, script, file_name, simulated)
        return import_id

    def find(self, vendor: str, kind: str, import_id: str) -> Import:
        """
        Return an import.

        :param vendor: name of the vendor
        :param kind: the kind that is asked for; an id of another kind is unknown
        :param import_id: its id
        :raises UnknownImportError: if there is none
        """
        with self._lock:
            found = self._imports.get((vendor, import_id))
        if found is None or found.kind != kind:
            raise UnknownImportError(import_id)
        return found

    def poll(self, vendor: str, kind: str, import_id: str, body: Callable[[float], Json]) -> Json:
        """
        Return the body to answer to a progress request, which counts as answered.

        :param vendor: name of the vendor
        :param kind: the kind that is asked for
        :param import_id: id of the import
        :param body: makes the vendor's body of a progress
        :raises UnknownImportError: if there is none
        """
        with self._lock:
            polled = self.find(vendor, kind, import_id)
            requests_before = polled.answers_given
            polled.answers_given += 1
            if polled.script.answers:
                return polled.script.answer_at(requests_before)
            return body(polled.script.progress_at(polled.elapsed()))

    def progress_of(self, subject: Import) -> float | None:
        """
        Return the progress of an import as its client knows it; None if no number was answered.

        :param subject: the import
        """
        with self._lock:
            if not subject.script.answers:
                return subject.script.progress_at(subject.elapsed())
            if subject.answers_given == 0:
                return 0.0
            last_answer = subject.script.answer_at(subject.answers_given - 1)
            return self._vendors[subject.vendor].progress_in(last_answer)

    def is_over(self, subject: Import) -> bool:
        """
        Return whether an import has succeeded or failed, as its client knows it.

        :param subject: the import
        """
        progress = self.progress_of(subject)
        return progress is not None and (progress >= DONE or progress < 0)

    def imports(self) -> list[ImportSummary]:
        """Return the imports, oldest first."""
        with self._lock:
            return [
                ImportSummary(
                    vendor=one.vendor,
                    kind=one.kind,
                    import_id=one.import_id,
                    progress=self.progress_of(one),
                    created_at=one.created_at,
                    file_name=one.file_name,
                )
                for one in self._imports.values()
            ]

    def add_fault(
        self,
        fault: Json,
        vendor: str | None = None,
        import_id: str | None = None,
        path_contains: str | None = None,
        times: int | None = 1,
    ) -> None:
        """
        Let coming requests go wrong.

        :param fault: how, see :func:`fault_from_json`
        :param vendor: hit only requests to this vendor; None: to any
        :param import_id: hit only requests about this import; None: about any
        :param path_contains: hit only paths with this text; None: any
        :param times: how many requests to hit, 1 or more; None: until the faults are cleared
        """
        if vendor is not None:
            self._vendor(vendor)
        if import_id is not None:
            as_text(import_id, "import_id")
        if path_contains is not None:
            as_text(path_contains, "path_contains")
        if times is not None:
            as_count(times, "times", minimum=1)
        rule = _FaultRule(fault_from_json(fault), vendor, import_id, path_contains or "", times)
        with self._lock:
            self._faults.append(rule)

    def clear_faults(self) -> None:
        """Let coming requests go well again."""
        with self._lock:
            self._faults.clear()

    def take_fault(self, vendor: str | None, import_id: str | None, path: str) -> Fault | None:
        """
        Return the fault for a request, which then counts as used; None: none is due.

        :param vendor: name of the vendor that is asked
        :param import_id: id of the import that is asked for
        :param path: path of the request
        """
        with self._lock:
            for rule in self._faults:
                if rule.matches(vendor, import_id, path):
                    if rule.times_left is not None:
                        rule.times_left -= 1
                        self._faults = [kept for kept in self._faults if kept.times_left != 0]
                    return rule.fault
        return None

    def credentials_of(self, vendor: str) -> Mapping[str, str]:
        """
        Return the credentials that a vendor accepts now.

        :param vendor: name of the vendor
        """
        with self._lock:
            return dict(self._credentials[self._vendor(vendor).name])

    def set_credentials(self, vendor: str, credentials: Mapping[str, Json]) -> None:
        """
        Let a vendor accept other credentials from now on.

        :param vendor: name of the vendor
        :param credentials: those that change, by name
        """
        known = self._vendor(vendor).credentials
        if not credentials:
            raise InvalidInputError("body", f"must have one of {', '.join(known)}")
        for name, value in credentials.items():
            if name not in known:
                raise InvalidInputError(name, f"unknown; known are {', '.join(known)}")
            as_text(value, name)
        with self._lock:
            self._credentials[vendor].update(credentials)

    def record(self, request: RecordedRequest) -> None:
        """
        Keep a request that arrived; whoever answers it sets its status.

        :param request: the request, without secrets
        """
        with self._lock:
            self._requests.append(request)
            self._request_counts[request["vendor"], request["import_id"]] += 1

    def requests(self, vendor: str | None = None, import_id: str | None = None) -> list[RecordedRequest]:
        """
        Return the last 10,000 requests at most, oldest first.

        :param vendor: only those to this vendor; None: to any
        :param import_id: only those about this import; None: about any
        """
        with self._lock:
            return [
                request.copy()
                for request in self._requests
                if vendor in (None, request["vendor"]) and import_id in (None, request["import_id"])
            ]

    def request_count(self, vendor: str | None = None, import_id: str | None = None) -> int:
        """
        Return how many requests arrived since the start or the last reset.

        :param vendor: only those to this vendor; None: to any
        :param import_id: only those about this import; None: about any
        """
        with self._lock:
            return sum(
                count
                for (its_vendor, its_import_id), count in self._request_counts.items()
                if vendor in (None, its_vendor) and import_id in (None, its_import_id)
            )

    def redacted(self, text: str) -> str:
        """
        Return a text with every credential of the sandbox taken out.

        :param text: what a client sent
        """
        with self._lock:
            secrets = [secret for values in self._credentials.values() for secret in values.values()]
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    def _vendor(self, name: Json) -> Vendor:
        if not isinstance(name, str) or name not in self._vendors:
            raise InvalidInputError("vendor", f"must be one of {', '.join(self._vendors)}")
        return self._vendors[name]
