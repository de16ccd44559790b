# SPDX-License-Identifier: Apache-2.0
"""The rate limit of a vendor, and the pauses that it asks for."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Response

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

#: Factor by which the gap between requests exceeds that of the limit, because their travel times differ.
SPACING_MARGIN = 1.05
#: Pause after a refusal for too many requests without a ``Retry-After``, in seconds.
DEFAULT_PAUSE = 5.0
#: Longest pause that a vendor can ask for, in seconds: an import may be over long before a longer one.
MAX_RETRY_AFTER = 3600.0
#: After a pause without a rate limit, requests are spread over as long as the pause was, up to this, in seconds.
MAX_SPREAD = 30.0


class RateLimit:
    """
    Hold requests over one connection until the vendor allows them, by its rate limit and its pauses.

    :param requests_per_minute: The limit that the vendor publishes; None: it publishes none.
    """

    def __init__(self, requests_per_minute: float | None) -> None:
        self._published = requests_per_minute
        self._queues: dict[tuple[str, float], tuple[asyncio.Lock, AsyncLimiter]] = {}
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
            while pause := await self._pause_over():  # noqa: ASYNC110
                await asyncio.sleep(random.random() * min(pause, MAX_SPREAD))  # noqa: S311
            return
        lock, limiter = queue
        # The lock keeps the order of the calls, which the limiter alone does not.
        async with lock:
            await limiter.acquire()
            while await self._pause_over():
                # Again, because what was allowed before the pause would come on top of what is allowed after it.
                await limiter.acquire()

    def is_free(self, connection: VendorConnection, group: str) -> bool:
        """
        Return whether a request may be sent at once.

        :param connection: The connection, which may have another limit than is published.
        :param group: Which requests the vendor counts together.
        """
        if self.is_paused:
            return False
        queue = self._queue_for(connection, group)
        return queue is None or (not queue[0].locked() and queue[1].has_capacity())

    def pause(self, response: Response, *, is_rate_limited: bool) -> float:
        """
        Hold all requests for as long as an answer asks to wait, and return by how many seconds that is longer now.

        :param response: The answer.
        :param is_rate_limited: Whether the answer is that the vendor gets too many requests.
        """
        seconds = response.retry_after
        if seconds is None and is_rate_limited:
            seconds = DEFAULT_PAUSE
        if seconds is not None and (response.status >= 400 or is_rate_limited):
            now = asyncio.get_running_loop().time()
            until, before = now + min(seconds, MAX_RETRY_AFTER), max(now, self._paused_until)
            if until > before:
                self._paused_until, self._is_pause_of_rate_limit = until, is_rate_limited
                return until - before
        return 0.0

    @property
    def is_paused(self) -> bool:
        """Whether the vendor asks to wait."""
        return self._paused_until > asyncio.get_running_loop().time()

    @property
    def is_rate_limited(self) -> bool:
        """Whether the vendor asks to wait because it gets too many requests."""
        return self.is_paused and self._is_pause_of_rate_limit

    async def _pause_over(self) -> float:
        """Sleep until the vendor's pause is over, and return how long that was."""
        left = self._paused_until - asyncio.get_running_loop().time()
        if left <= 0:
            return 0.0
        await asyncio.sleep(left)
        return left

    def _queue_for(self, connection: VendorConnection, group: str) -> tuple[asyncio.Lock, AsyncLimiter] | None:
        limit = connection.requests_per_minute or self._published
        if limit is None:
            return None
        # The limit is part of the key, because it may be changed in the connection while waits go on.
        queue = self._queues.get((group, limit))
        if queue is None:
            from aiolimiter import AsyncLimiter

            # A burst is what is allowed in a second: the burst and the minute after it must keep the limit together.
            burst = max(1.0, limit / 60)
            queue = asyncio.Lock(), AsyncLimiter(burst, SPACING_MARGIN * burst * 60 / limit)
            self._queues[group, limit] = queue
        return queue
