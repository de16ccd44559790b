# SPDX-License-Identifier: Apache-2.0
"""The rate limit of a vendor, and the pauses that it asks for."""

from __future__ import annotations

import asyncio
import logging
import random

from airflow_import_progress import clock
from airflow_import_progress.http.adaptive_rate import AdaptiveRate
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Response

log = logging.getLogger(__name__)

#: Factor by which the gap between requests exceeds that of the limit, because their travel times differ.
SPACING_MARGIN = 1.05
#: Pause after a refusal for too many requests without a ``Retry-After``, or with 0, in seconds.
DEFAULT_PAUSE = 5.0
#: Longest pause that a vendor can ask for, in seconds: an import may be over long before a longer one.
MAX_RETRY_AFTER = 3600.0
#: After a pause without a rate limit, requests are spread over as long as the pause was, up to this, in seconds.
MAX_SPREAD = 30.0


class RateLimit:
    """
    Hold requests over one connection until the vendor allows them, by its rate limit and its pauses.

    Other processes and clients may count against the same limit, so the rate follows the vendor's refusals.

    :param requests_per_minute: The limit that the vendor publishes; None: it publishes none.
    """

    def __init__(self, requests_per_minute: float | None) -> None:
        self._published = requests_per_minute
        self._queues: dict[tuple[str, float], _Queue] = {}
        self._paused_until = 0.0
        self._is_pause_of_rate_limit = False

    async def acquire(self, connection: VendorConnection, group: str) -> None:
        """
        Sleep until a request may be sent: as often as the limit allows, in the order of the calls.

        :param connection: The connection, which may have another limit than is published.
        :param group: Which requests the vendor counts together.
        """
        queue = self._queue_for(connection, group)
        if queue is None:
            while pause := await self._pause_over():
                await clock.current.asleep(random.random() * min(pause, MAX_SPREAD))  # noqa: S311
            return
        # The lock keeps the order of the calls.
        async with queue.lock:
            await queue.acquire()
            while await self._pause_over():
                # Again, because what was allowed before the pause would come on top of what is allowed after it.
                await queue.acquire()

    def is_free(self, connection: VendorConnection, group: str) -> bool:
        """
        Return whether a request may be sent at once.

        :param connection: The connection, which may have another limit than is published.
        :param group: Which requests the vendor counts together.
        """
        if self.is_paused:
            return False
        queue = self._queue_for(connection, group)
        return queue is None or (not queue.lock.locked() and queue.seconds_until_free() <= 0)

    def on_answer(
        self, response: Response, connection: VendorConnection, group: str, *, sent_at: float, is_rate_limited: bool
    ) -> float:
        """
        Follow an answer: adapt the rate, and hold all requests for as long as the answer asks to wait.

        :param response: The answer.
        :param connection: The connection.
        :param group: Which requests the vendor counts together.
        :param sent_at: When the request was sent, by the clock's ``loop_time``.
        :param is_rate_limited: Whether the answer is that the vendor gets too many requests.
        :return: By how many seconds the pause is longer now.
        """
        seconds = self._pause(response, is_rate_limited=is_rate_limited)
        if queue := self._queue_for(connection, group):
            now = clock.current.loop_time()
            if not is_rate_limited:
                queue.rate.on_answer(sent_at, now)
            elif queue.rate.on_refusal(sent_at, now, max(0.0, self._paused_until - now)):
                log.info(
                    "Connection '%s': the vendor gets too many requests, so this process sends at most %.3g a minute.",
                    connection.conn_id,
                    queue.rate.per_minute,
                )
        return seconds

    def _pause(self, response: Response, *, is_rate_limited: bool) -> float:
        seconds = response.retry_after
        if not seconds and is_rate_limited:
            seconds = DEFAULT_PAUSE
        if seconds is not None and (response.status >= 400 or is_rate_limited):
            now = clock.current.loop_time()
            until, before = now + min(seconds, MAX_RETRY_AFTER), max(now, self._paused_until)
            if until > before:
                self._paused_until, self._is_pause_of_rate_limit = until, is_rate_limited
                return until - before
        return 0.0

    @property
    def is_paused(self) -> bool:
        """Whether the vendor asks to wait."""
        return self._paused_until > clock.current.loop_time()

    @property
    def is_rate_limited(self) -> bool:
        """Whether the vendor asks to wait because it gets too many requests."""
        return self.is_paused and self._is_pause_of_rate_limit

    @property
    def is_queued(self) -> bool:
        """Whether requests wait for their turn."""
        return any(queue.lock.locked() for queue in self._queues.values())

    async def _pause_over(self) -> float:
        """Sleep until the vendor's pause is over, and return how long that was."""
        left = self._paused_until - clock.current.loop_time()
        if left <= 0:
            return 0.0
        await clock.current.asleep(left)
        return left

    def _queue_for(self, connection: VendorConnection, group: str) -> _Queue | None:
        limit = connection.requests_per_minute or self._published
        if limit is None:
            return None
        # The limit is part of the key, because it may be changed in the connection while waits go on.
        queue = self._queues.get((group, limit))
        if queue is None:
            queue = self._queues[group, limit] = _Queue(AdaptiveRate(limit, clock.current.loop_time()))
        return queue


class _Queue:
    """
    Allow a burst of requests, and then one in each gap, as a leaky bucket.

    :param rate: The rate.
    """

    def __init__(self, rate: AdaptiveRate) -> None:
        self.lock = asyncio.Lock()
        self.rate = rate
        #: When the requests so far would have been sent if each had kept the gap.
        self._spaced_until = 0.0

    @property
    def _gap(self) -> float:
        return SPACING_MARGIN * 60 / self.rate.per_minute

    def seconds_until_free(self) -> float:
        """Return the seconds until a request is allowed; 0 or less: it is allowed now."""
        # A burst is what is allowed in a second: the burst and the minute after it must keep the limit together.
        burst = max(1.0, self.rate.per_minute / 60)
        return self._spaced_until - (burst - 1) * self._gap - clock.current.loop_time()

    async def acquire(self) -> None:
        """Sleep until a request is allowed, and count it. Called with the lock held."""
        if (seconds := self.seconds_until_free()) > 0:
            await clock.current.asleep(seconds)
        self._spaced_until = max(self._spaced_until, clock.current.loop_time()) + self._gap
