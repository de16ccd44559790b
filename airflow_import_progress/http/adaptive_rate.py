# SPDX-License-Identifier: Apache-2.0
"""
How many requests a minute one process may send to a vendor whose limit it shares with others, which it cannot see.

Additive increase, multiplicative decrease, as in TCP: a refusal takes away a share of the rate, and while nothing is
refused the rate grows, no matter how high it is. Processes that send more are refused more often and lose more, so all
settle at about the same share. The figures are in ``docs/performance.md``.

Pure: the time is passed in.
"""

from __future__ import annotations

#: The share of the rate that a refusal takes away. A larger one would leave more of the limit unused after it, and
#: with a smaller one the shares of several processes would become equal even more slowly.
DECREASE = 0.25
#: The same if the vendor refuses within :data:`STILL_TOO_FAST` after the start or a pause: the rate is far too high.
STRONG_DECREASE = 0.5
#: Half of the minute for which vendors count, in seconds: whoever has used up within it what a minute allows sends at
#: more than twice the limit.
STILL_TOO_FAST = 30.0
#: The share of the ceiling by which the rate grows in a minute, right after a refusal. It keeps refusals below three
#: percent of the requests of four processes that share what a foreign client leaves of a limit.
INCREASE = 0.002
#: The growth is multiplied by ``1 + requests * minutes / QUIET``, both counted since the last refusal: the longer
#: nothing is refused, the more room there must be.
QUIET = 100.0
#: The lowest rate, in requests a minute: whoever is kept from sending must still notice when there is room again.
LOWEST = 0.5


class AdaptiveRate:
    """
    The rate at which a process may send, which follows the refusals of the vendor.

    :param ceiling: The highest rate, in requests a minute, which is also the first one.
    :param now: The time, in seconds on any clock.
    """

    def __init__(self, ceiling: float, now: float) -> None:
        self._ceiling = ceiling
        #: In requests a minute.
        self.per_minute = ceiling
        self._refused_at = float("-inf")
        #: When the vendor allowed requests after the last refusal; the requests that it has answered since then, and
        #: the minutes in which it did.
        self._allowed_at = now
        self._requests = 0
        self._minutes = 0.0
        self._grown_until = now

    def on_answer(self, sent_at: float, now: float) -> None:
        """
        Increase the rate after a request that was not refused.

        :param sent_at: When the request was sent. One that was sent before the last refusal shows nothing.
        :param now: The time.
        """
        if sent_at <= self._refused_at:
            return
        self._requests += 1
        if self.per_minute == self._ceiling:
            return
        # At most for a minute: a process that sent nothing has learned nothing.
        minutes = min(max(now - self._grown_until, 0.0) / 60, 1.0)
        self._minutes += minutes
        growth = INCREASE * self._ceiling * minutes * (1 + self._requests * self._minutes / QUIET)
        self.per_minute = min(self.per_minute + growth, self._ceiling)
        self._grown_until = max(self._grown_until, now)

    def on_refusal(self, sent_at: float, now: float, pause: float) -> bool:
        """
        Decrease the rate after a refusal because the vendor gets too many requests.

        The rate stays as it is if it has not been tried yet: if the request was sent before the last refusal, or if
        nothing was answered since then. In both cases the vendor still counts what was sent at the higher rate.

        :param sent_at: When the request was sent.
        :param now: The time.
        :param pause: The seconds from now for which nothing is sent.
        :return: Whether the rate has been decreased.
        """
        self._grown_until = max(self._grown_until, now + pause)
        if sent_at <= self._refused_at or not self._requests:
            self._allowed_at = self._grown_until
            return False
        is_still_too_fast = sent_at - self._allowed_at < STILL_TOO_FAST
        decreased = self.per_minute * (1 - (STRONG_DECREASE if is_still_too_fast else DECREASE))
        self.per_minute = max(decreased, min(LOWEST, self._ceiling))
        self._refused_at, self._allowed_at = now, self._grown_until
        self._requests, self._minutes = 0, 0.0
        return True
