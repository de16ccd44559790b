# SPDX-License-Identifier: Apache-2.0
"""The state of a wait: what a display shows, what is published, and what moves on to the triggerer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_import_progress.progress import ImportProgress


@dataclass(kw_only=True, slots=True)
class WaitState:
    """
    Hold the state of one wait.

    A trigger stores :meth:`to_dict` once, when the wait is deferred, and never updates it. The fields that it omits are
    kept in memory only.

    Times are in seconds since the epoch: a wait moves between machines, and only the wall clock means the same on all
    of them.

    :param started_at: When the wait began.
    :param deadline: When it ends at the latest.
    :param next_poll_at: When to poll next; None: now, or the wait is over.
    :param polled_at: When the vendor was polled last, successfully or not; None: not yet.
    :param failures: How many polls in a row failed. Polls that exceeded the vendor's rate limit do not count.
    :param last_warning: The last warning of a progress that was logged; None: none.
    :param last_observation: The newest percentage and when it was first observed; None: none.
    :param progress: The newest progress; None: there was none yet.
    :param progress_at: When it was received; None: there was none yet.
    :param error: Why the last poll failed, or why the wait ended with an error; None: neither.
    :param is_rate_limited: Whether the last poll exceeded the vendor's rate limit.
    :param is_over: Whether the wait is over.
    """

    started_at: float
    deadline: float
    next_poll_at: float | None = None
    polled_at: float | None = None
    failures: int = 0
    last_warning: str | None = None
    last_observation: tuple[float, float] | None = None
    progress: ImportProgress | None = None
    progress_at: float | None = None
    error: str | None = None
    is_rate_limited: bool = False
    is_over: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields with which another process continues the wait, as plain JSON values."""
        return {
            "started_at": self.started_at,
            "deadline": self.deadline,
            "next_poll_at": self.next_poll_at,
            "polled_at": self.polled_at,
            "failures": self.failures,
            "last_warning": self.last_warning,
            "last_observation": self.last_observation and list(self.last_observation),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WaitState:
        """
        Return the state that :meth:`to_dict` returned as plain JSON values.

        :param values: The values.
        :raises TypeError: if a value is missing, or is not known to this version.
        """
        state = cls(**values)
        if state.last_observation is not None:
            percent, observed_at = state.last_observation
            state.last_observation = (percent, observed_at)
        return state

    @property
    def has_polled(self) -> bool:
        """Whether a poll was made, so that the connection is known to exist."""
        return self.polled_at is not None

    @property
    def reported(self) -> tuple[Any, ...]:
        """The part of the state that people read. It is published again when this has changed."""
        return self.progress, self.error, self.failures, self.is_over
