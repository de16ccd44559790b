# SPDX-License-Identifier: Apache-2.0
"""
How many requests a minute one process may send, if others share the vendor's limit that it cannot see.

Additive increase, multiplicative decrease, as in TCP: each refusal lowers the rate in proportion to it, and the same is
added for everybody while nothing is refused. Processes that send more are refused more often and lose more, so all
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
#: The growth is doubled when the requests since the last refusal, times the minutes since then, reach this number, and
#: goes on rising with them. The longer nothing is refused, the more room there must be.
QUIET = 100.0
#: The lowest rate, in requests a minute: whoever is kept from sending must still notice when there is room again.
LOWEST = 0.2


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
        #: When the vendor allowed requests after the last refusal, and how many it has answered since then.
        self._quiet_since = now
        self._requests = 0
        self._grown_until = now

    def on_answer(self, now: float) -> None:
        """
        Increase the rate after a request that was not refused.

        :param now: The time.
        """
        if self.per_minute == self._ceiling:
            return
        self._requests += 1
        # At most for a minute: a process that sent nothing has learnt nothing.
        minutes = min(max(now - self._grown_until, 0.0) / 60, 1.0)
        silence = self._requests * max(now - self._quiet_since, 0.0) / 60 / QUIET
        self.per_minute = min(self.per_minute + INCREASE * self._ceiling * minutes * (1 + silence), self._ceiling)
        self._grown_until = max(self._grown_until, now)

    def on_refusal(self, sent_at: float, now: float, pause: float) -> None:
        """
        Decrease the rate after a request that was refused because there were too many.

        :param sent_at: When the request was sent.
        :param now: The time.
        :param pause: The seconds from now for which nothing is sent.
        """
        if sent_at <= self._refused_at:
            # Sent at the rate that has been decreased already.
            return
        is_still_too_fast = sent_at - self._quiet_since < STILL_TOO_FAST
        decreased = self.per_minute * (1 - (STRONG_DECREASE if is_still_too_fast else DECREASE))
        self.per_minute = max(decreased, min(LOWEST, self._ceiling))
        self._refused_at = now
        self._quiet_since = self._grown_until = now + pause
        self._requests = 0
