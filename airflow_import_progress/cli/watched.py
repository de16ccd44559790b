# SPDX-License-Identifier: Apache-2.0
"""A watched import, its outcome, and its texts for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from airflow_import_progress import clock
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.waiting.state import WaitState

#: The exit status of the command for each outcome.
EXIT_CODES = {"done": 0, "failed": 1, "unknown": 2, "interrupted": 130}


class LogLine(NamedTuple):
    """
    Hold a line that a sensor would log.

    :param words: The text.
    :param is_warning: Whether it is a warning.
    """

    words: str
    is_warning: bool


@dataclass(frozen=True)
class Outcome:
    """
    Hold the outcome of a watch.

    :param name: One of :data:`EXIT_CODES`.
    :param message: The outcome in words.
    :param error: The name of the exception that a sensor would raise, or None.
    """

    name: str
    message: str
    error: str | None = None

    @property
    def exit_code(self) -> int:
        """The exit status of the command."""
        return EXIT_CODES[self.name]


class WatchedImport:
    """
    Hold what a display shows of a watched import.

    :param conn_id: The Airflow connection.
    """

    def __init__(self, conn_id: str | None) -> None:
        self.conn_id = conn_id
        self.vendor: str | None = None
        self.import_id: str | None = None
        self.subject = ""
        self.state = WaitState(started_at=clock.current.time(), deadline=clock.current.time())
        self.seconds_left: Callable[[float], float | None] = lambda now: None

    @property
    def progress(self) -> ImportProgress | None:
        """The newest progress, or None."""
        return self.state.progress

    def begin(self, *, vendor: str, import_id: str, subject: str, now: float, timeout: float) -> None:
        """
        Begin the watch.

        :param vendor: The vendor's name.
        :param import_id: The vendor's identifier of the import.
        :param subject: The words by which messages name it.
        :param now: The time, in seconds since the epoch.
        :param timeout: How long it is watched at most, in seconds.
        """
        self.vendor, self.import_id, self.subject = vendor, import_id, subject
        self.state = WaitState(started_at=now, deadline=now + timeout)


def printable(text: str) -> str:
    """
    Return a text as one line without control characters, which could act on a terminal.

    :param text: Any text, such as a vendor's.
    """
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def in_clock_time(moment: float) -> str:
    """
    Return a time as a local clock shows it.

    :param moment: The time, in seconds since the epoch.
    """
    return datetime.fromtimestamp(moment).astimezone().strftime("%H:%M:%S")
