# SPDX-License-Identifier: Apache-2.0
"""
Display a watch as lines of text or of JSON. The progress bar is in ``bar.py``.

Names and messages from vendors and connections are untrusted: none of them may control a terminal.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self, TextIO

from airflow_import_progress.cli.state import LogLine, Outcome, WatchState


class Display(ABC):
    """
    Display a watch while its state changes.

    :param state: The state of the watch.
    :param out: The stream to write to.
    """

    def __init__(self, state: WatchState, out: TextIO) -> None:
        self.state = state
        self.out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Flush the output, also after an exception."""
        self.out.flush()

    @abstractmethod
    def on_log(self, lines: Sequence[LogLine]) -> None:
        """
        Display log lines.

        :param lines: The lines.
        """

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """
        Display the state after a successful poll.

        :param lines: The lines that the wait logged for it.
        """
        self.on_log(lines)

    def on_error(self, lines: Sequence[LogLine]) -> None:
        """
        Display the state after a failed poll.

        :param lines: The lines that the wait logged for it.
        """
        self.on_log(lines)

    @abstractmethod
    def on_outcome(self, outcome: Outcome) -> None:
        """
        Display the outcome. Called last, after the display was closed.

        :param outcome: The outcome.
        """


class TextDisplay(Display):
    """The log of a sensor, for pipes and files."""

    def on_log(self, lines: Sequence[LogLine]) -> None:
        """
        Write log lines.

        :param lines: The lines.
        """
        for line in lines:
            self._write(f"warning: {line.message}" if line.is_warning else line.message)

    def on_outcome(self, outcome: Outcome) -> None:
        """
        Write the outcome.

        :param outcome: The outcome.
        """
        self._write(f"{outcome.name}: {outcome.message}")

    def _write(self, text: str) -> None:
        print(clock_time(time.time()), printable(text), file=self.out, flush=True)


class JsonDisplay(Display):
    """One JSON object per line and change, for programs."""

    _written_progress: dict[str, Any] | None = None

    def on_log(self, lines: Sequence[LogLine]) -> None:
        """
        Write the warnings among log lines.

        :param lines: The lines.
        """
        for line in lines:
            if line.is_warning:
                self._write("warning", message=line.message)

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """
        Write the progress if it has changed.

        :param lines: The lines that the wait logged for it.
        """
        progress = self._progress()
        if progress != self._written_progress:
            self._written_progress = progress
            self._write("progress", progress=progress, seconds_left=self.state.seconds_left(time.time()))
        self.on_log(lines)

    def on_error(self, lines: Sequence[LogLine]) -> None:
        """
        Write the error of a failed poll.

        :param lines: The lines that the wait logged for it; ignored.
        """
        # Write the next progress even if it is the same as before the failure.
        self._written_progress = None
        state = self.state
        self._write(
            "poll_failed",
            error=state.error,
            failures=state.failures,
            rate_limited=state.is_rate_limited,
            next_poll_at=None if state.next_poll_at is None else _iso(state.next_poll_at),
        )

    def on_outcome(self, outcome: Outcome) -> None:
        """
        Write the outcome.

        :param outcome: The outcome.
        """
        self._write(
            "outcome",
            outcome=outcome.name,
            exit_code=outcome.exit_code,
            message=outcome.message,
            error=outcome.error,
            progress=self._progress(),
        )

    def _progress(self) -> dict[str, Any] | None:
        return self.state.progress.to_dict() if self.state.progress else None

    def _write(self, event: str, **values: Any) -> None:
        state = self.state
        watched = {"vendor": state.vendor, "conn_id": state.conn_id, "import_id": state.import_id}
        print(json.dumps({"event": event, "at": _iso(time.time()), **watched, **values}), file=self.out, flush=True)


def printable(text: str) -> str:
    """
    Return a text as one line without characters that control a terminal.

    :param text: The text.
    """
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def clock_time(timestamp: float) -> str:
    """
    Return a time of day in the local time zone, such as ``14:05:09``.

    :param timestamp: The time, in seconds since the epoch.
    """
    return datetime.fromtimestamp(timestamp).astimezone().strftime("%H:%M:%S")


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
