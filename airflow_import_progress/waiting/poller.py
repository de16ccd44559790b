# SPDX-License-Identifier: Apache-2.0
"""
One poller for all waits of a triggerer process on one connection.

They share the look-up of the connection, an HTTP session, a log-in, the answers to identical requests, the vendor's
rate limit, and its pauses.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Self, TypeGuard, TypeVar
from weakref import WeakKeyDictionary

from airflow_import_progress import clock
from airflow_import_progress.exceptions import ImportProgressError
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Conversation, Request, RequestKey, Response, request_key
from airflow_import_progress.http.rate_limit import RateLimit
from airflow_import_progress.http.single_flight import SingleFlight
from airflow_import_progress.http.transport import AsyncSend, AuthenticatedKey, authenticated_key
from airflow_import_progress.imports import Import, ImportList, ListedImport, Pollable
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.waiting.metrics import Metrics

#: Waits wake up at multiples of this, in seconds. An event loop wakes many tasks at once at a lower cost.
TICK = 0.05

P = TypeVar("P", bound=Pollable[object])

#: A connection, identified by the class of its hook and its id.
Key = tuple[type[ImportProgressHook], str]

_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, Poller]] = WeakKeyDictionary()
#: They outlive the pollers, because the vendor continues to count requests after the last wait has ended.
_rate_limits: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, RateLimit]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class SharedResult:
    """
    Hold the result of a request for all waits that poll with it.

    :param key: The key of the request with its authentication.
    :param sent_at: When it was sent, on the event loop's clock.
    :param outcome: The answer, or the error in place of it.
    """

    key: AuthenticatedKey
    sent_at: float
    outcome: Response | ImportProgressError

    def response(self) -> Response:
        """
        Return the answer.

        :raises ImportProgressError: if there is none.
        """
        if isinstance(self.outcome, ImportProgressError):
            raise self.outcome
        return self.outcome


class Poller:
    """
    Poll a vendor over one connection for many waits.

    :param hook: The vendor's hook, which belongs to this poller alone.
    :param rate_limit: The rate limit of the connection.
    """

    def __init__(self, hook: ImportProgressHook, rate_limit: RateLimit) -> None:
        self.hook = hook
        self.waits = 0
        self.rate_limit = rate_limit
        self.metrics = Metrics(hook.conn_type, hook.conn_id)
        self._listeners: Counter[RequestKey] = Counter()
        #: The last results of shared requests, and the events that wake the waits for the next ones.
        self.results: dict[RequestKey, SharedResult] = {}
        self.wakeups: defaultdict[RequestKey, asyncio.Event] = defaultdict(asyncio.Event)
        self._single_flight: SingleFlight[AuthenticatedKey, Response] = SingleFlight()
        self._sent_at: dict[AuthenticatedKey, float] = {}

    # Shared results -----------------------------------------------------------------------------------------

    def listen(self, first: RequestKey) -> None:
        """
        Keep the results of a request from now on, if more than one wait polls with it.

        :param first: The key of the request with which polls of an import begin, without its authentication.
        """
        self._listeners[first] += 1

    def stop_listening(self, first: RequestKey) -> None:
        """
        Drop the results of a request, unless other waits poll with it.

        :param first: The key of the request with which polls begin, without its authentication.
        """
        self._listeners[first] -= 1
        if not self._listeners[first]:
            del self._listeners[first]
            self.results.pop(first, None)
            self.wakeups.pop(first, None)

    def is_shared(self, first: RequestKey | None) -> bool:
        """
        Return whether more than one wait polls with a request.

        :param first: The key of the request with which polls begin, without its authentication; None: another request.
        """
        return first is not None and self._listeners[first] > 1

    # The sending --------------------------------------------------------------------------------------------

    async def send(
        self,
        send: AsyncSend,
        connection: VendorConnection,
        request: Request,
        key: AuthenticatedKey,
        first: RequestKey | None,
        not_before: float,
    ) -> Response:
        """
        Send a request when the rate limit allows it, or share the answer to the same request that is under way.

        :param send: Sends through the session of the hook.
        :param connection: The connection.
        :param request: The request.
        :param key: Its key.
        :param first: Its key without the authentication if it is the one with which polls begin, else None.
        :param not_before: The earliest time at which a shared request may have been sent, on the event loop's clock.
        """
        # An older request is not shared: it may have been sent before the import was started.
        while self._sent_at.get(key, not_before) < not_before and await self._single_flight.wait_until_idle(key):
            pass
        is_expected = request.shared or self.is_shared(first)
        return await self._single_flight.do(
            key,
            lambda: self._send_in_turn(send, connection, request, key, first),
            # A log-in, which the first wait keeps.
            until_read=request.shared,
            # Without a task where no other wait is expected: the task costs a tenth of a poll.
            alone=not is_expected and self.rate_limit.is_free(connection, self.hook.rate_limit_group(request)),
        )

    async def _send_in_turn(
        self,
        send: AsyncSend,
        connection: VendorConnection,
        request: Request,
        key: AuthenticatedKey,
        first: RequestKey | None,
    ) -> Response:
        group = self.hook.rate_limit_group(request)
        await self.rate_limit.acquire(connection, group)
        sent_at = self._sent_at[key] = asyncio.get_running_loop().time()
        sent_at_by_clock = clock.current.loop_time()
        outcome: Response | ImportProgressError
        try:
            outcome = self.hook.normalize_retry_after(await send(request))
            is_rate_limited = self.hook.is_rate_limited(outcome)
            seconds = self.rate_limit.on_answer(
                outcome, connection, group, sent_at=sent_at_by_clock, is_rate_limited=is_rate_limited
            )
            self.metrics.on_pause(seconds, is_rate_limited=is_rate_limited)
        except ImportProgressError as error:
            outcome = error
        finally:
            # A newer attempt keeps its own time: this one may have been cancelled.
            if self._sent_at.get(key) == sent_at:
                del self._sent_at[key]
        result = SharedResult(key, sent_at, outcome)
        if first is not None and self.is_shared(first):
            self.results[first] = result
            if wakeup := self.wakeups.pop(first, None):
                wakeup.set()
        return result.response()


class Polled(Generic[P]):
    """
    Poll for one wait or watcher, through the poller that all on a connection share on this event loop.

    Used in an ``async with`` block. The last block to end closes the poller.

    :param hook_class: The vendor's hook.
    :param conn_id: The Airflow connection.
    :param pollable: The import that is waited for, or the list of imports that is watched.
    :param connection_is_known: Whether the connection is known to exist, because a worker has used it.
    """

    __slots__ = ("_connection_is_known", "_first", "_key", "_pollable", "_poller", "_slept_at")

    _poller: Poller

    def __init__(
        self, hook_class: type[ImportProgressHook], conn_id: str, pollable: P, *, connection_is_known: bool = True
    ) -> None:
        self._key = hook_class, conn_id
        self._connection_is_known = connection_is_known
        self._pollable = pollable
        #: The key of the request with which polls begin, once it is known.
        self._first: RequestKey | None = None
        self._slept_at = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._slept_at = loop.time()
        pollers = _pollers.setdefault(loop, {})
        if self._key not in pollers:
            hook_class, conn_id = self._key
            rate_limit = _rate_limits.setdefault(loop, {}).setdefault(
                self._key, RateLimit(hook_class.requests_per_minute)
            )
            pollers[self._key] = Poller(hook_class(**{hook_class.conn_name_attr: conn_id}), rate_limit)
        self._poller = pollers[self._key]
        self._poller.waits += 1
        self._poller.metrics.on_waits(self._poller.waits)
        if self._connection_is_known:
            self._poller.hook.connection_cache.is_known = True
        await self._poller.hook.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._first is not None:
            self._poller.stop_listening(self._first)
        self._poller.waits -= 1
        self._poller.metrics.on_waits(self._poller.waits)
        if not self._poller.waits:
            del _pollers[asyncio.get_running_loop()][self._key]
            await self._poller.hook.__aexit__()

    @property
    def hook(self) -> ImportProgressHook:
        """The hook that all waits of the poller share."""
        return self._poller.hook

    @property
    def is_paused(self) -> bool:
        """Whether no poll is sent at the moment, because the vendor asks to wait."""
        return self._poller.rate_limit.is_paused

    @property
    def is_rate_limited(self) -> bool:
        """Whether no poll is sent at the moment, because the vendor gets too many requests."""
        return self._poller.rate_limit.is_rate_limited

    @property
    def is_queued(self) -> bool:
        """Whether polls wait for their turn, because the vendor's rate limit allows no more."""
        return self._poller.rate_limit.is_queued

    async def _prepare(self) -> None:
        if self._first is None:
            self._first = request_key(await self._poller.hook.afirst_request(self._pollable))
            self._poller.listen(self._first)
        self._poller.metrics.on_waits(self._poller.waits)

    async def sleep(self, seconds: float) -> None:
        """
        Sleep until the next poll, or until another wait has polled with the same request.

        :param seconds: How long to sleep, in seconds; up to a :data:`TICK` longer.
        """
        self._slept_at = asyncio.get_running_loop().time()
        now = clock.current.loop_time()
        seconds = math.ceil((now + seconds) / TICK) * TICK - now
        if self._first is None or not self._poller.is_shared(self._first):
            await clock.current.asleep(seconds)
        else:
            await clock.current.asleep(seconds, woken_by=partial(self._newer_result, self._first))

    async def _newer_result(self, first: RequestKey) -> None:
        while not self._is_recent(self._poller.results.get(first)):
            await self._poller.wakeups[first].wait()

    async def _send(self, send: AsyncSend, connection: VendorConnection, request: Request) -> Response:
        key = authenticated_key(connection, request)
        # The authentication changes only the headers.
        first = self._first if self._first and self._first[0] == key[0][0] else None
        result = None if first is None else self._poller.results.get(first)
        # A result with other credentials is not shared: it may be a refusal.
        if self._is_recent(result) and result.key == key:
            return result.response()
        return await self._poller.send(send, connection, request, key, first, self._slept_at)

    def _is_recent(self, result: SharedResult | None) -> TypeGuard[SharedResult]:
        return result is not None and result.sent_at >= self._slept_at


class PolledImport(Polled[Import]):
    """Poll one import."""

    __slots__ = ()

    async def get_progress(self) -> ImportProgress:
        """
        Return the progress of the import: from a poll, or from one that another wait made since this one went to sleep.

        :raises ImportProgressError: as the hook's ``aget_progress``.
        """
        await self._prepare()
        return await self.hook.aget_progress(self._pollable, send=self._send)


class PolledImportList(Polled[ImportList]):
    """Poll a vendor's list of imports."""

    __slots__ = ()

    async def get_imports(self) -> tuple[str, Sequence[ListedImport]]:
        """
        Return the place at the vendor and its imports.

        They are from a poll, or from one that another watcher made since this one went to sleep.

        :raises ImportProgressError: as the hook's ``aget_progress``.
        """
        await self._prepare()
        return await self.hook.apoll(_WithPlace(self._pollable), send=self._send)


class _WithPlace:
    """A list of imports together with its place, of one and the same connection."""

    def __init__(self, import_list: ImportList) -> None:
        self._list = import_list
        self.describe = import_list.describe

    def poll(self, connection: VendorConnection) -> Conversation[tuple[str, Sequence[ListedImport]]]:
        imports = yield from self._list.poll(connection)
        return self._list.place(connection), imports
