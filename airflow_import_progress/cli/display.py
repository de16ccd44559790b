# SPDX-License-Identifier: Apache-2.0
"""A watched import as lines of text or of JSON."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self, TextIO

from airflow_import_progress import clock
from airflow_import_progress.cli.watched import LogLine, Outcome, WatchedImport, in_clock_time, printable


class Display(ABC):
    """
    Show a watched import as it changes.

    :param watched: The watched import.
    :param out: Where to write.
    """

    def __init__(self, watched: WatchedImport, out: TextIO) -> None:
        self.watched = watched
        self.out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End, however the watch ended."""
        self.out.flush()

    @abstractmethod
    def on_log(self, lines: Sequence[LogLine]) -> None:
        """Show the lines that a sensor would log."""

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """
        Show a progress.

        :param lines: The lines that were logged with it.
        """
        self.on_log(lines)

    def on_error(self, lines: Sequence[LogLine]) -> None:
        """
        Show a failed poll.

        :param lines: The lines that were logged with it.
        """
        self.on_log(lines)

    @abstractmethod
    def on_end(self, outcome: Outcome) -> None:
        """Show the outcome, after everything else."""


class TextLines(Display):
    """The lines that a sensor would log, for pipes and logs."""

    def on_log(self, lines: Sequence[LogLine]) -> None:
        """Write the lines."""
        for line in lines:
            self._write(f"warning: {line.words}" if line.is_warning else line.words)

    def on_end(self, outcome: Outcome) -> None:
        """Write the outcome."""
        self._write(f"{outcome.name}: {outcome.message}")

    def _write(self, line: str) -> None:
        print(in_clock_time(clock.current.time()), printable(line), file=self.out, flush=True)


class JsonLines(Display):
    """A JSON object for each change, for programs."""

    _shown: dict[str, Any] | None = None

    def on_log(self, lines: Sequence[LogLine]) -> None:
        """Write the warnings."""
        for line in lines:
            if line.is_warning:
                self._write("warning", message=line.words)

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """Write a progress if it has changed."""
        progress = self._progress()
        if progress != self._shown:
            self._shown = progress
            self._write("progress", progress=progress, seconds_left=self.watched.seconds_left(clock.current.time()))
        self.on_log(lines)

    def on_error(self, lines: Sequence[LogLine]) -> None:
        """Write a failed poll."""
        # The next progress counts as a change, even if it is the same.
        self._shown = None
        state = self.watched.state
        self._write(
            "poll_failed",
            error=f"{self.watched.subject}: {state.error}",
            failures=state.failures,
            rate_limited=state.is_rate_limited,
            next_poll_at=in_iso(state.next_poll_at),
        )

    def on_end(self, outcome: Outcome) -> None:
        """Write the outcome."""
        self._write(
            "outcome",
            outcome=outcome.name,
            exit_code=outcome.exit_code,
            message=outcome.message,
            error=outcome.error,
            progress=self._progress(),
        )

    def _progress(self) -> dict[str, Any] | None:
        return self.watched.progress.to_dict() if self.watched.progress else None

    def _write(self, event: str, **values: Any) -> None:
        watched = self.watched
        known = {"vendor": watched.vendor, "conn_id": watched.conn_id, "import_id": watched.import_id}
        now = in_iso(clock.current.time())
        print(json.dumps({"event": event, "at": now, **known, **values}), file=self.out, flush=True)


def is_terminal(out: TextIO) -> bool:
    """
    Return whether an output is a terminal that moves its cursor.

    :param out: The output.
    """
    # Independent of FORCE_COLOR: colors are useful in a log, bars are not.
    return out.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def in_iso(moment: float | None) -> str | None:
    """
    Return a time in ISO 8601 and UTC, or None if there is none.

    :param moment: The time, in seconds since the epoch, or None.
    """
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
