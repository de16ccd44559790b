# SPDX-License-Identifier: Apache-2.0
"""Display a watch as a live progress bar on a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airflow_import_progress.cli.display import Display, clock_time, printable
from airflow_import_progress.cli.state import NO_PROGRESS, LogLine, Outcome, WatchState
from airflow_import_progress.progress import ImportState

MAX_BAR_WIDTH = 60
STYLES = {"done": "bold green", "failed": "bold red", "unknown": "bold yellow", "interrupted": "bold yellow"}


class BarDisplay(Display):
    """
    A live progress bar, for people at a terminal.

    :param state: The state of the watch.
    :param out: The terminal.
    :param console: The console that writes to the terminal; None: a new one (:func:`make_console`).
    """

    def __init__(self, state: WatchState, out: TextIO, console: Console | None = None) -> None:
        super().__init__(state, out)
        self.console = console or make_console(out)
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
        """Stop the bar and restore the cursor. The bar stays visible if it has shown any progress."""
        self._has_ended, self.state.next_poll_at = True, None
        self._live.transient = self.state.progress is None
        self._live.stop()

    def on_log(self, lines: Sequence[LogLine]) -> None:
        """
        Print the warnings among log lines above the bar, which shows the rest itself.

        :param lines: The lines.
        """
        for line in lines:
            if line.is_warning:
                self.console.print(Text(printable(f"{clock_time(time.time())} {line.message}"), style="yellow"))

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """
        Update the bar.

        :param lines: The lines that the wait logged for the poll.
        """
        self.on_log(lines)
        self._live.refresh()

    def on_outcome(self, outcome: Outcome) -> None:
        """
        Print the outcome as one line that can be copied.

        :param outcome: The outcome.
        """
        text = Text.assemble((outcome.name, STYLES[outcome.name]), f": {printable(outcome.message)}")
        self.console.print(text, soft_wrap=True)

    def render(self) -> RenderableType:
        """Return the current content: the import, the bar, its progress and the polls."""
        state, now = self.state, time.time()
        if not state.subject:
            return Text("Loading Airflow …", style="dim")
        progress = state.progress.in_words(state.seconds_left(now)) if state.progress else NO_PROGRESS
        content = Group(
            _line(state.subject, "bold"), self._bar(), _line(progress, ""), _line(self._poll_status(now), "dim")
        )
        # Leave room for the "^C" that a terminal appends, so that it does not wrap.
        return Constrain(content, max(self.console.width - len("^C "), 1))

    def _bar(self) -> RenderableType:
        progress = self.state.progress
        percent = progress.percent if progress else None
        has_failed = progress is not None and progress.state in (ImportState.FAILED, ImportState.CANCELLED)
        style = "red" if has_failed else "yellow" if self.state.error else "green"
        # A table ends the line, which a bar alone does not.
        table = Table.grid()
        bar = ProgressBar(
            # Without a total, the bar pulses.
            total=None if percent is None else 100.0,
            completed=percent or 0.0,
            width=MAX_BAR_WIDTH,
            complete_style=style,
            finished_style=style,
            pulse_style=style,
        )
        table.add_row(bar)
        return table

    def _poll_status(self, now: float) -> str:
        state = self.state
        parts = []
        if state.polled_at is not None:
            parts.append(f"polled at {clock_time(state.polled_at)}")
        if state.failures:
            parts.append(f"{state.failures} poll{'s' if state.failures > 1 else ''} failed in a row")
        if state.is_rate_limited:
            parts.append("rate limited by the vendor")
        if state.next_poll_at is not None:
            parts.append(f"next poll in {max(state.next_poll_at - now, 0):.0f} s")
        parts.append(f"watched for {_duration(now - state.started_at)}")
        if not self._has_ended:
            parts.append(f"until {clock_time(state.deadline)} at the latest")
        return " · ".join(parts)


def make_console(out: TextIO, **settings: Any) -> Console:
    """
    Return a console that prints texts to a terminal unchanged.

    :param out: The terminal.
    :param settings: Further settings of rich's console.
    """
    return _Console(file=out, force_terminal=True, markup=False, highlight=False, emoji=False, **settings)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error: rich would exit with 1, which means here that the import failed."""
        raise BrokenPipeError


def _line(text: str, style: str) -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
