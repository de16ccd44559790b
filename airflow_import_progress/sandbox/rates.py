# SPDX-License-Identifier: Apache-2.0
"""How many requests a vendor answers in a minute. Pure: the time is always passed in."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 60.0


@dataclass(frozen=True)
class Allowance:
    """
    What a client may still ask after a request.

    :param limit: how many requests are answered in a window
    :param remaining: how many are left of them, 0 or more
    :param seconds_left: seconds until the next window
    :param exceeded: whether the request was one too many
    """

    limit: int
    remaining: int
    seconds_left: float
    exceeded: bool


class RateLimiter:
    """Count requests in windows of a minute, each of which starts with a request."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def take(self, vendor: str, group: str, limit: int, now: float) -> Allowance:
        """
        Count a request and return what may be asked after it.

        :param vendor: name of the vendor
        :param group: which requests to the vendor are counted together
        :param limit: how many of them are answered in a window
        :param now: seconds since any fixed time
        """
        start, count = self._windows.get((vendor, group), (now, 0))
        if now - start >= WINDOW:
            start, count = now, 0
        count += 1
        self._windows[vendor, group] = (start, count)
        return Allowance(limit, max(0, limit - count), start + WINDOW - now, exceeded=count > limit)
