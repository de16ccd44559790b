# SPDX-License-Identifier: Apache-2.0
"""The published progress of a wait, for display only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from airflow_import_progress.progress import ImportProgress

#: The key of the XCom of the waiting task. No task should depend on it: it is for display only.
XCOM_KEY = "import_progress"
#: Maximum number of history points. Beyond it every second one is dropped.
MAX_HISTORY_POINTS = 60


class PublishedStartState(StrEnum):
    """The state of the start of an import by an operator."""

    #: The request may have been sent. Published before it is.
    STARTING = "starting"
    #: The vendor has started the import, and the task waits for it.
    STARTED = "started"
    #: The vendor has started the import, and the task does not wait for it.
    NOT_AWAITED = "not_awaited"
    #: The vendor has started the import, which has failed at once.
    FAILED = "failed"
    #: It is unknown whether an import was started.
    UNKNOWN = "unknown"
    #: Certainly no import was started.
    NOT_STARTED = "not_started"


@dataclass(frozen=True, kw_only=True)
class PublishedStart:
    """
    Hold the start of an import by an operator.

    :param state: The state of the start.
    :param sent_at: The time right before the request was sent, in seconds since the epoch. None: that is unknown, or
        certainly no import was started.
    :param content: The content to import, such as ``"the file '/data/leaves.csv'"``, or None if it is unknown.
    """

    state: PublishedStartState
    sent_at: float | None = None
    content: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {"state": self.state.value, "sent_at": self.sent_at, "content": self.content}

    @classmethod
    def from_dict(cls, values: Any) -> PublishedStart:
        """
        Return the start that a version of this package has published.

        :param values: The values. Unknown keys are ignored.
        :raises ValueError: if it is anything else.
        """
        if not isinstance(values, Mapping):
            raise ValueError("not the start of an import")  # noqa: TRY004
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**known | {"state": PublishedStartState(values.get("state", ""))})


@dataclass(frozen=True, kw_only=True)
class PublishedProgress:
    """
    Hold the progress of one wait as plain JSON values, with times in seconds since the epoch.

    :param try_number: The try of the task that waits, from 1.
    :param vendor: The vendor's name, such as ``"Rocket.Chat"``.
    :param conn_id: The Airflow connection through which the import is polled.
    :param label: The name of such an import, such as ``"Lucca leave import"``.
    :param import_id: The vendor's identifier of the import. None: no import was started, or that is unknown.
    :param import_url: The vendor's page of the import, or None if none is known.
    :param waiting_since: When the wait began.
    :param deadline: When it ends at the latest. None: the task does not wait yet, or not at all.
    :param polled_at: When the vendor was polled last, successfully or not. None: it was not.
    :param progress: The newest progress (:meth:`~airflow_import_progress.progress.ImportProgress.to_dict`), or None if
        there was none yet.
    :param progress_at: When the vendor reported it, or None.
    :param percent_per_minute: The recent pace of the import, or None if it is unknown.
    :param ends_at: When the import is expected to end, or None if that cannot be estimated.
    :param error: Why the last poll failed, or why the wait ended with an error; None: neither.
    :param failures: How many polls in a row failed. Polls that exceeded the vendor's rate limit do not count.
    :param history: Some of the percentages so far, as pairs of time and percent, oldest first.
    :param start: The start of the import by this task, or None if it only waits for the import.
    """

    try_number: int
    vendor: str
    conn_id: str
    label: str
    import_id: str | None
    import_url: str | None = None
    waiting_since: float
    deadline: float | None
    polled_at: float | None
    progress: Mapping[str, Any] | None = None
    progress_at: float | None = None
    percent_per_minute: float | None = None
    ends_at: float | None = None
    error: str | None = None
    failures: int = 0
    history: tuple[tuple[float, float], ...] = ()
    start: PublishedStart | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        start = None if self.start is None else self.start.to_dict()
        values = asdict(self) | {"history": [list(point) for point in self.history], "start": start}
        finite: dict[str, Any] = _finite(values)
        return finite

    @classmethod
    def from_dict(cls, values: Any) -> PublishedProgress:
        """
        Return the progress that :meth:`to_dict` of any version of this package returned.

        :param values: What :meth:`to_dict` returned. Unknown keys are ignored.
        :raises ValueError: if it is anything else.
        """
        try:
            published = cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
            if published.progress is not None:
                ImportProgress.from_dict(published.progress)
            history = tuple((float(at), float(percent)) for at, percent in published.history)
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not what a wait publishes ({type(error).__name__}: {error})") from error
        return replace(published, history=history, start=_start(published.start))


def _finite(value: Any) -> Any:
    """Return a JSON value with None for the numbers that JSON does not have, with which no database can read it."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _start(values: Any) -> PublishedStart | None:
    try:
        return PublishedStart.from_dict(values)
    except ValueError:
        # That of a later version, perhaps. The progress of its import is shown all the same.
        return None


class History:
    """Keep a bounded number of percentages for the chart, because each write stores all of them."""

    __slots__ = ("_resolution", "points")

    def __init__(self) -> None:
        #: Pairs of time, in seconds since the epoch, and percent, oldest first.
        self.points: list[tuple[float, float]] = []
        self._resolution = 0.0

    def add(self, at: float, percent: float) -> None:
        """
        Add a percentage, if it is newer than the last one.

        :param at: When it was seen, in seconds since the epoch.
        :param percent: The percentage.
        """
        if self.points and at <= self.points[-1][0]:
            return
        # The newest one is always kept, and of a standstill its ends.
        if len(self.points) > 1 and (
            at - self.points[-2][0] < self._resolution or self.points[-2][1] == self.points[-1][1] == percent
        ):
            self.points.pop()
        self.points.append((at, percent))
        if len(self.points) > MAX_HISTORY_POINTS:
            self._resolution = (at - self.points[0][0]) / (MAX_HISTORY_POINTS // 4)
            thinned, self.points = self.points, []
            for point in thinned:
                self.add(*point)

    def go_on_from(self, points: Sequence[Sequence[float]]) -> None:
        """
        Take what was seen before as well.

        :param points: Pairs of time and percent, oldest first.
        """
        own, self.points = self.points, []
        for at, percent in [*points, *own]:
            self.add(at, percent)
