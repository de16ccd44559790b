# SPDX-License-Identifier: Apache-2.0
"""A watched import as a moving bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airflow_import_progress import clock
from airflow_import_progress.cli.display import Display
from airflow_import_progress.cli.watched import LogLine, Outcome, WatchedImport, in_clock_time, printable
from airflow_import_progress.progress import ImportState

MAX_BAR_WIDTH = 60
STYLES = {"done": "bold green", "failed": "bold red", "unknown": "bold yellow", "interrupted": "bold yellow"}


class Bar(Display):
    """
    A moving bar, for a terminal.

    :param watched: The watched import.
    :param out: The terminal.
    :param console: The console that writes to it. Default: one with the settings that rich detects.
    """

    def __init__(self, watched: WatchedImport, out: TextIO, console: Console | None = None) -> None:
        super().__init__(watched, out)
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
        """Leave the bar on the screen, and show the cursor again."""
        self._has_ended, self.watched.state.next_poll_at = True, None
        # Without a progress there is nothing to leave on the screen.
        self._live.transient = self.watched.progress is None
        self._live.stop()

    def on_log(self, lines: Sequence[LogLine]) -> None:
        """Show the warnings above the bar, which shows everything else."""
        for line in lines:
            if line.is_warning:
                self.console.print(
                    Text(printable(f"{in_clock_time(clock.current.time())} {line.words}"), style="yellow")
                )

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """Show a progress."""
        self.on_log(lines)
        self._live.refresh()

    def on_end(self, outcome: Outcome) -> None:
        """Show the outcome, on a line that can be copied."""
        words = Text.assemble((outcome.name, STYLES[outcome.name]), f": {printable(outcome.message)}")
        self.console.print(words, soft_wrap=True)

    def render(self) -> RenderableType:
        """Return what the bar shows now."""
        watched, now = self.watched, clock.current.time()
        if not watched.subject:
            return Text("Loading Airflow …", style="dim")
        words = watched.progress.in_words(watched.seconds_left(now)) if watched.progress else "no progress yet"
        shown = Group(_line(watched.subject, "bold"), self._bar(), _line(words, ""), _line(self._polls(now), "dim"))
        # Narrower than the terminal, because "^C" is written after it and must not begin another line.
        return Constrain(shown, max(self.console.width - len("^C "), 1))

    def _bar(self) -> RenderableType:
        progress = self.watched.progress
        percent = progress.percent if progress else None
        has_failed = progress is not None and progress.state in (ImportState.FAILED, ImportState.CANCELLED)
        style = "red" if has_failed else "yellow" if self.watched.state.error else "green"
        # In a table, because a bar does not end its line.
        line = Table.grid()
        bar = ProgressBar(
            # Without a percentage the bar pulses.
            total=None if percent is None else 100.0,
            completed=percent or 0.0,
            width=MAX_BAR_WIDTH,
            complete_style=style,
            finished_style=style,
            pulse_style=style,
        )
        line.add_row(bar)
        return line

    def _polls(self, now: float) -> str:
        watched = self.watched
        parts = []
        if watched.state.polled_at is not None:
            parts.append(f"polled at {in_clock_time(watched.state.polled_at)}")
        if watched.state.failures:
            parts.append(f"{watched.state.failures} poll{'s' if watched.state.failures > 1 else ''} failed in a row")
        if watched.state.is_rate_limited:
            parts.append("the vendor asks for fewer requests")
        if watched.state.next_poll_at is not None:
            parts.append(f"next poll in {max(watched.state.next_poll_at - now, 0):.0f} s")
        parts.append(f"watched for {_span(now - watched.state.started_at)}")
        if not self._has_ended:
            parts.append(f"until {in_clock_time(watched.state.deadline)} at the latest")
        return " · ".join(parts)


def make_console(out: TextIO, **settings: Any) -> Console:
    """
    Return a console that writes to a terminal and does not interpret texts.

    :param out: The terminal.
    :param settings: Further settings of rich's console.
    """
    return _Terminal(
        file=out, **{"force_terminal": True, "markup": False, "highlight": False, "emoji": False, **settings}
    )


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Raise, because the exit status of rich, 1, would mean that the import failed."""
        raise BrokenPipeError


def _line(text: str, style: str) -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def _span(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
