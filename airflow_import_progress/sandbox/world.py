# SPDX-License-Identifier: Apache-2.0
"""
What the sandbox knows at a time: imports, credentials, faults to come and requests received.

The server and the methods of :class:`~airflow_import_progress.sandbox.Sandbox` use it from different threads.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from airflow_import_progress.sandbox.checks import InvalidInputError, Json, as_count, as_text
from airflow_import_progress.sandbox.faults import Fault, fault_from_json
from airflow_import_progress.sandbox.rates import Allowance, RateLimiter
from airflow_import_progress.sandbox.script import DONE, Script

if TYPE_CHECKING:
    from airflow_import_progress.sandbox.vendor import Vendor

REQUESTS_KEPT = 10_000

RateLimits = bool | Mapping[str, int]

_Kept = TypeVar("_Kept")


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
    :param started: when it began to run, for the last time
    :param stopped: when it was stopped before its end; None: never
    """

    vendor: str
    kind: str
    import_id: str
    script: Script
    file_name: str | None = None
    simulated: bool = False
    answers_given: int = 0
    created_at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    stopped: float | None = None

    def elapsed(self) -> float:
        """Return the seconds that the import has been running."""
        end = time.monotonic() if self.stopped is None else self.stopped
        return max(0.0, end - self.started)

    def moment(self, seconds: float) -> str:
        """
        Return the date and time, in UTC, of a time after the creation of the import.

        :param seconds: seconds since the creation
        """
        return datetime.fromtimestamp(self.created_at + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def start(self) -> None:
        """Begin to run, from the beginning."""
        self.started = time.monotonic()

    def stop(self) -> None:
        """Stand still for ever where it is."""
        if self.stopped is None:
            self.stopped = time.monotonic()


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
    :param rate_limits: True: those that the vendors publish; or requests in 60 seconds, by vendor;
        False: none
    """

    def __init__(
        self,
        vendors: Iterable[Vendor],
        import_duration: float,
        credentials: Mapping[str, Mapping[str, str]],
        rate_limits: RateLimits,
    ) -> None:
        self.import_duration = import_duration
        self._vendors = {vendor.name: vendor for vendor in vendors}
        self._start_credentials = {
            name: {**vendor.credentials, **credentials.get(name, {})} for name, vendor in self._vendors.items()
        }
        self._lock = threading.RLock()
        self._start_rate_limits = self._numbers(rate_limits)
        # Neither a change nor a reset clears them: clients may go on sending what was right before.
        self._secrets: set[str] = set()
        for name, values in self._start_credentials.items():
            self._keep_secret(name, values)
        self.reset()

    def reset(self) -> None:
        """Forget everything that happened, and go back to the credentials and rate limits of the start."""
        with self._lock:
            self._imports: dict[tuple[str, str], Import] = {}
            self._faults: list[_FaultRule] = []
            self._requests: deque[RecordedRequest] = deque(maxlen=REQUESTS_KEPT)
            self._request_counts: Counter[tuple[str | None, str | None]] = Counter()
            self._credentials = {name: dict(values) for name, values in self._start_credentials.items()}
            self._kept: dict[type[Any], Any] = {}
            self._rate_limits = self._start_rate_limits
            self._rate_limiter = RateLimiter()

    def undisturbed(self) -> AbstractContextManager[object]:
        """Return a context in which no other thread sees or changes anything here."""
        return self._lock

    def kept(self, kind: type[_Kept]) -> _Kept:
        """
        Return the only object of a class, by which a vendor keeps what it needs beside imports until the reset.

        :param kind: the class, which can be called without arguments
        """
        with self._lock:
            if kind not in self._kept:
                self._kept[kind] = kind()
            found: _Kept = self._kept[kind]
            return found

    def create_import(self, vendor: str, kind: str, script: Json | None = None, import_id: str | None = None) -> str:
        """
        Create an import as a user describes it and return its id.

        :param vendor: name of the vendor
        :param kind: one of the vendor's kinds of import
        :param script: its course, see :meth:`.Script.from_json`; None: it succeeds
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
        known = self._vendor(vendor)
        import_id = known.new_import_id(kind) if import_id is None else import_id
        with self._lock:
            if (vendor, import_id) in self._imports:
                raise InvalidInputError("import_id", "exists already")
            if known.one_at_a_time:
                for before in self.imports_of(vendor):
                    before.stop()
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
                return self._vendors[subject.vendor].progress_of(self, subject)
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

    def imports_of(self, vendor: str) -> list[Import]:
        """
        Return the imports of a vendor, oldest first.

        :param vendor: name of the vendor
        """
        with self._lock:
            return [one for one in self._imports.values() if one.vendor == vendor]

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

        :param fault: how, see :func:`.fault_from_json`
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
            self._keep_secret(vendor, credentials)

    def change(self, vendor: str, changes: Mapping[str, Json]) -> None:
        """
        Change how a vendor behaves.

        :param vendor: name of the vendor
        :param changes: what changes, by name; see :meth:`.Vendor.change`
        """
        with self.undisturbed():
            self._vendor(vendor).change(self, changes)

    def set_rate_limits(self, rate_limits: Json) -> None:
        """
        Let the vendors refuse requests above a rate from now on, with counts that start anew.

        :param rate_limits: True: the rates that the vendors publish; or requests in 60 seconds, by vendor;
            False: none
        """
        numbers = self._numbers(rate_limits)
        with self._lock:
            self._rate_limits = numbers
            self._rate_limiter = RateLimiter()

    def take_request(self, vendor: str, group: str) -> Allowance | None:
        """
        Count a request for the rate limit and return what may be asked after it; None: there is no limit.

        :param vendor: name of the vendor
        :param group: which requests to the vendor are counted together
        """
        with self._lock:
            limit = self._rate_limits.get(vendor)
            return None if limit is None else self._rate_limiter.take(vendor, group, limit, time.monotonic())

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
        Return a text with every secret of the sandbox taken out.

        :param text: what a client sent
        """
        with self._lock:
            # A secret may be the beginning of another one.
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    def add_secret(self, secret: str) -> None:
        """
        Keep a text out of what is recorded.

        :param secret: what a vendor gave a client to identify itself with
        """
        with self._lock:
            self._secrets.add(secret)

    def _keep_secret(self, vendor: str, credentials: Mapping[str, str]) -> None:
        public = self._vendors[vendor].public_credentials
        self._secrets.update(value for name, value in credentials.items() if name not in public)

    def _numbers(self, rate_limits: Json) -> Mapping[str, int]:
        if isinstance(rate_limits, bool):
            published = {name: vendor.rate_limit for name, vendor in self._vendors.items() if rate_limits}
            return {name: limit for name, limit in published.items() if limit is not None}
        if not isinstance(rate_limits, Mapping):
            raise InvalidInputError("rate_limits", "must be true, false or an object of numbers by vendor")
        for name, limit in rate_limits.items():
            field = f"rate_limits.{name}"
            if name not in self._vendors:
                raise InvalidInputError(field, f"unknown; known are {', '.join(self._vendors)}")
            as_count(limit, field, minimum=1)
        return dict(rate_limits)

    def _vendor(self, name: Json) -> Vendor:
        if not isinstance(name, str) or name not in self._vendors:
            raise InvalidInputError("vendor", f"must be one of {', '.join(self._vendors)}")
        return self._vendors[name]
