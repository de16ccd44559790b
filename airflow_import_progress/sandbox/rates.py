# SPDX-License-Identifier: Apache-2.0
"""The number of requests that a vendor answers in a minute. Pure: the time is always passed in."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 60.0


@dataclass(frozen=True)
class RateLimitStatus:
    """
    The state of a rate limit after a request.

    :param limit: Number of requests that are answered in a window.
    :param remaining: Number of requests left in this window, 0 or more.
    :param seconds_left: Seconds until the next window.
    :param ends_at: Start of the next window, in seconds since 1970.
    :param exceeded: Whether the request was above the limit.
    """

    limit: int
    remaining: int
    seconds_left: float
    ends_at: float
    exceeded: bool


class RateLimiter:
    """Count requests in windows of a minute, each of which starts with a request."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def take(self, vendor: str, group: str, limit: int, now: float) -> RateLimitStatus:
        """
        Count a request and return the state of the limit after it.

        :param vendor: Name of the vendor.
        :param group: Name of the group of requests that are counted together.
        :param limit: Number of requests of the group that are answered in a window.
        :param now: The time, in seconds since 1970.
        """
        start, count = self._windows.get((vendor, group), (now, 0))
        if now - start >= WINDOW:
            start, count = now, 0
        count += 1
        self._windows[vendor, group] = (start, count)
        # The difference first: seconds since 1970 are not precise enough for a sum that is rounded up.
        seconds_left = WINDOW - (now - start)
        return RateLimitStatus(limit, max(0, limit - count), seconds_left, now + seconds_left, exceeded=count > limit)
