# SPDX-License-Identifier: Apache-2.0
"""The state of a watch, and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

from airflow_import_progress.progress import ImportProgress

NO_PROGRESS = "no progress yet"


class LogLine(NamedTuple):
    """
    A line that a sensor would log.

    :param message: The message.
    :param is_warning: Whether it is a warning.
    """

    message: str
    is_warning: bool


@dataclass(frozen=True)
class Outcome:
    """
    The outcome of a watch.

    :param name: ``"done"``, ``"failed"``, ``"unknown"`` or ``"interrupted"``.
    :param exit_code: The exit status of the command.
    :param message: The outcome in words.
    :param error: The name of the exception that a sensor would raise, or None.
    """

    name: str
    exit_code: int
    message: str
    error: str | None = None

    @classmethod
    def done(cls, message: str) -> Self:
        """Return the outcome of an import that is done and passes the gate."""
        return cls("done", 0, message)

    @classmethod
    def failed(cls, error: Exception) -> Self:
        """Return the outcome of an import that failed or does not pass the gate."""
        return cls("failed", 1, str(error), type(error).__name__)

    @classmethod
    def unknown(cls, error: Exception, message: str) -> Self:
        """Return the outcome of a watch that could not determine whether the import passes."""
        return cls("unknown", 2, message, type(error).__name__)

    @classmethod
    def interrupted(cls, message: str) -> Self:
        """Return the outcome of a watch that the user interrupted."""
        return cls("interrupted", 130, message)


class WatchState:
    """
    The state of a watched import. Times are in seconds since the epoch.

    :param conn_id: The Airflow connection, or None until the sensor has chosen one.
    """

    def __init__(self, conn_id: str | None) -> None:
        self.conn_id = conn_id
        self.vendor: str | None = None
        self.import_id: str | None = None
        #: Empty until the watch starts.
        self.subject = ""
        self.started_at = 0.0
        self.deadline = 0.0
        self.progress: ImportProgress | None = None
        self.polled_at: float | None = None
        #: None during a poll and after the last one.
        self.next_poll_at: float | None = None
        self.error: str | None = None
        self.failures = 0
        self.is_rate_limited = False
        self.seconds_left: Callable[[float], float | None] = lambda now: None

    def start(self, *, vendor: str, import_id: str, subject: str, now: float, timeout: float) -> None:
        """
        Record the start of the watch.

        :param vendor: The vendor's name.
        :param import_id: The vendor's identifier of the import.
        :param subject: The import as messages name it.
        :param now: The current time.
        :param timeout: Maximum duration of the watch, in seconds.
        """
        self.vendor, self.import_id, self.subject = vendor, import_id, subject
        self.started_at, self.deadline = now, now + timeout

    def on_progress(self, progress: ImportProgress, now: float) -> None:
        """
        Record a successful poll.

        :param progress: The progress that the vendor reported.
        :param now: The current time.
        """
        self.progress, self.polled_at, self.error, self.failures = progress, now, None, 0
        self.is_rate_limited = False

    def on_error(self, error: str, now: float, *, is_rate_limited: bool = False) -> None:
        """
        Record a failed poll.

        :param error: The error message.
        :param now: The current time.
        :param is_rate_limited: Whether the vendor refused the poll as one too many. Such polls are not counted.
        """
        self.polled_at, self.error = now, error
        self.failures += not is_rate_limited
        self.is_rate_limited = is_rate_limited
