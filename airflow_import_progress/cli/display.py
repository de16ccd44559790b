# SPDX-License-Identifier: Apache-2.0
"""
Show a watched import: as a bar that moves, as lines, or as JSON.

What vendors and connections call things is data: nothing in it acts on a terminal.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airflow_import_progress.progress import ImportProgress, ImportState

WIDEST_BAR = 60
STYLES = {"done": "bold green", "failed": "bold red", "unknown": "bold yellow", "interrupted": "bold yellow"}


class Note(NamedTuple):
    """
    What a wait says, as a sensor's log has it.

    :param words: The words.
    :param is_warning: Whether it is a warning.
    """

    words: str
    is_warning: bool


@dataclass(frozen=True)
class Outcome:
    """
    What came of watching.

    :param name: ``"done"``, ``"failed"``, ``"unknown"`` or ``"interrupted"``.
    :param exit_code: The exit status of the command.
    :param message: The same in words.
    :param error: The name of the exception that a sensor would raise, or None.
    """

    name: str
    exit_code: int
    message: str
    error: str | None = None

    @classmethod
    def done(cls, message: str) -> Self:
        """Return that the import is done and passes."""
        return cls("done", 0, message)

    @classmethod
    def failed(cls, error: Exception) -> Self:
        """Return that the import does not pass."""
        return cls("failed", 1, str(error), type(error).__name__)

    @classmethod
    def unknown(cls, error: Exception, message: str) -> Self:
        """Return that it could not be found out whether the import passes."""
        return cls("unknown", 2, message, type(error).__name__)

    @classmethod
    def interrupted(cls, message: str) -> Self:
        """Return that nobody wants to know any more."""
        return cls("interrupted", 130, message)


class View:
    """
    What is known of a watched import and its watch; times are in seconds since the epoch.

    :param conn_id: The Airflow connection.
    """

    def __init__(self, conn_id: str | None) -> None:
        self.conn_id = conn_id
        self.vendor: str | None = None
        self.import_id: str | None = None
        self.subject = ""
        self.started_at = time.time()
        self.deadline = self.started_at
        self.progress: ImportProgress | None = None
        self.polled_at: float | None = None
        #: None: the import is being asked for now, or not any more.
        self.next_poll_at: float | None = None
        self.error: str | None = None
        self.failures = 0
        #: Whether the vendor refused the last poll because it gets too many requests.
        self.is_refused = False
        self.seconds_left: Callable[[float], float | None] = lambda now: None

    def begin(self, *, vendor: str, import_id: str, subject: str, now: float, timeout: float) -> None:
        """
        Take note of what is watched, and from when to when.

        :param vendor: The vendor's name.
        :param import_id: The vendor's identifier of the import.
        :param subject: The words by which messages name it.
        :param now: The time.
        :param timeout: How long it is watched at the most, in seconds.
        """
        self.vendor, self.import_id, self.subject = vendor, import_id, subject
        self.started_at, self.deadline = now, now + timeout

    def on_progress(self, progress: ImportProgress, now: float) -> None:
        """
        Take note of a progress.

        :param progress: The progress.
        :param now: The time.
        """
        self.progress, self.polled_at, self.error, self.failures = progress, now, None, 0
        self.is_refused = False

    def on_error(self, error: str, now: float, *, is_failure: bool = True) -> None:
        """
        Take note of a poll that brought no progress.

        :param error: Why.
        :param now: The time.
        :param is_failure: Whether it counts as a failed poll.
        """
        self.polled_at, self.error, self.failures = now, error, self.failures + is_failure
        self.is_refused = not is_failure


class Display(ABC):
    """
    Show a view as it changes.

    :param view: The view.
    :param out: Where to write.
    """

    def __init__(self, view: View, out: TextIO) -> None:
        self.view = view
        self.out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End, however the watch ended."""
        self.out.flush()

    @abstractmethod
    def noted(self, notes: Sequence[Note]) -> None:
        """
        Show what is said besides.

        :param notes: What the wait says.
        """

    def on_progress(self, notes: Sequence[Note]) -> None:
        """
        Show a progress.

        :param notes: What the wait says of it.
        """
        self.noted(notes)

    def on_error(self, notes: Sequence[Note]) -> None:
        """
        Show a poll that brought no progress.

        :param notes: What the wait says of it.
        """
        self.noted(notes)

    @abstractmethod
    def ended(self, outcome: Outcome) -> None:
        """
        Show what came of it, as the last thing of all.

        :param outcome: What came of it.
        """


class Lines(Display):
    """What a sensor's log would say, a line each: for pipes and for logs."""

    def noted(self, notes: Sequence[Note]) -> None:
        """
        Show what is said besides.

        :param notes: What the wait says.
        """
        for note in notes:
            self._write(f"warning: {note.words}" if note.is_warning else note.words)

    def ended(self, outcome: Outcome) -> None:
        """
        Show what came of it.

        :param outcome: What came of it.
        """
        self._write(f"{outcome.name}: {outcome.message}")

    def _write(self, line: str) -> None:
        print(in_clock_time(time.time()), inert(line), file=self.out, flush=True)


class JsonLines(Display):
    """A JSON object a line for each change: for programs."""

    _shown: dict[str, Any] | None = None

    def noted(self, notes: Sequence[Note]) -> None:
        """
        Write the warnings.

        :param notes: What the wait says.
        """
        for note in notes:
            if note.is_warning:
                self._write("warning", message=note.words)

    def on_progress(self, notes: Sequence[Note]) -> None:
        """
        Write a progress if it has changed.

        :param notes: What the wait says of it.
        """
        progress = self._progress()
        if progress != self._shown:
            self._shown = progress
            self._write("progress", progress=progress, seconds_left=self.view.seconds_left(time.time()))
        self.noted(notes)

    def on_error(self, notes: Sequence[Note]) -> None:
        """
        Write that a poll brought no progress.

        :param notes: What the wait says of it.
        """
        # The next progress is a change, whatever it is.
        self._shown = None
        view = self.view
        self._write(
            "poll_failed",
            error=view.error,
            failures=view.failures,
            rate_limited=view.is_refused,
            next_poll_at=_iso(view.next_poll_at),
        )

    def ended(self, outcome: Outcome) -> None:
        """
        Write what came of it.

        :param outcome: What came of it.
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
        return self.view.progress.to_dict() if self.view.progress else None

    def _write(self, event: str, **values: Any) -> None:
        view = self.view
        known = {"vendor": view.vendor, "conn_id": view.conn_id, "import_id": view.import_id}
        print(json.dumps({"event": event, "at": _iso(time.time()), **known, **values}), file=self.out, flush=True)


class Bar(Display):
    """
    A bar that moves: for people at a terminal.

    :param view: The view.
    :param out: The terminal.
    :param console: How to write to it; None: as rich finds right.
    """

    def __init__(self, view: View, out: TextIO, console: Console | None = None) -> None:
        super().__init__(view, out)
        self.console = console or terminal(out)
        self._has_ended = False
        self._live = Live(
            get_renderable=self.render,
            console=self.console,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is, and give the cursor back."""
        self._has_ended, self.view.next_poll_at = True, None
        # What never told anything has nothing to leave.
        self._live.transient = self.view.progress is None
        self._live.stop()

    def noted(self, notes: Sequence[Note]) -> None:
        """
        Show the warnings above the bar, which itself shows the rest.

        :param notes: What the wait says.
        """
        for note in notes:
            if note.is_warning:
                self.console.print(Text(inert(f"{in_clock_time(time.time())} {note.words}"), style="yellow"))

    def on_progress(self, notes: Sequence[Note]) -> None:
        """
        Show a progress.

        :param notes: What the wait says of it.
        """
        self.noted(notes)
        self._live.refresh()

    def ended(self, outcome: Outcome) -> None:
        """
        Show what came of it, on a line that can be copied.

        :param outcome: What came of it.
        """
        words = Text.assemble((outcome.name, STYLES[outcome.name]), f": {inert(outcome.message)}")
        self.console.print(words, soft_wrap=True)

    def render(self) -> RenderableType:
        """Return what there is to see now."""
        view, now = self.view, time.time()
        if not view.subject:
            return Text("Loading Airflow …", style="dim")
        words = view.progress.in_words(view.seconds_left(now)) if view.progress else "nothing is known of it yet"
        shown = Group(_line(view.subject, "bold"), self._bar(), _line(words, ""), _line(self._polls(now), "dim"))
        # A terminal writes "^C" behind it, which must not begin another line.
        return Constrain(shown, max(self.console.width - len("^C "), 1))

    def _bar(self) -> RenderableType:
        progress = self.view.progress
        percent = progress.percent if progress else None
        has_failed = progress is not None and progress.state in (ImportState.FAILED, ImportState.CANCELLED)
        style = "red" if has_failed else "yellow" if self.view.error else "green"
        # A bar does not end its line; a table does.
        line = Table.grid()
        bar = ProgressBar(
            # Without a percentage it moves to and fro.
            total=None if percent is None else 100.0,
            completed=percent or 0.0,
            width=WIDEST_BAR,
            complete_style=style,
            finished_style=style,
            pulse_style=style,
        )
        line.add_row(bar)
        return line

    def _polls(self, now: float) -> str:
        view = self.view
        parts = []
        if view.polled_at is not None:
            parts.append(f"asked at {in_clock_time(view.polled_at)}")
        if view.failures:
            parts.append(f"{view.failures} poll{'s' if view.failures > 1 else ''} failed in a row")
        if view.is_refused:
            parts.append("the vendor asks for fewer requests")
        if view.next_poll_at is not None:
            parts.append(f"next poll in {max(view.next_poll_at - now, 0):.0f} s")
        parts.append(f"watched for {_span(now - view.started_at)}")
        if not self._has_ended:
            parts.append(f"until {in_clock_time(view.deadline)} at the latest")
        return " · ".join(parts)


def terminal(out: TextIO, **settings: Any) -> Console:
    """
    Return a console that shows texts as they are, on a terminal.

    :param out: The terminal.
    :param settings: Further settings of rich's.
    """
    return _Terminal(file=out, force_terminal=True, markup=False, highlight=False, emoji=False, **settings)


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command, whose exit status 1 means something else than rich's."""
        raise BrokenPipeError


def inert(text: str) -> str:
    """
    Return a text as one line with nothing in it that acts on a terminal.

    :param text: Any text, such as a vendor's.
    """
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _line(text: str, style: str) -> Text:
    return Text(inert(text), style=style, no_wrap=True, overflow="ellipsis")


def in_clock_time(moment: float) -> str:
    """
    Return a time as the clocks here show it.

    :param moment: The time, in seconds since the epoch.
    """
    return datetime.fromtimestamp(moment).astimezone().strftime("%H:%M:%S")


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _span(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
