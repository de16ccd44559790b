# SPDX-License-Identifier: Apache-2.0
"""The list of imports as a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_import_progress import clock
from airflow_import_progress.cli.bar import make_console
from airflow_import_progress.cli.display import is_terminal
from airflow_import_progress.cli.watched import printable

#: The states of waits whose import failed, or whose outcome or start is unknown.
FAILED = ("failed", "gave_up", "start_unknown")
#: The other states of waits that are over.
OVER = ("done", "task_succeeded", "started", "skipped")
STYLES = {
    "failed": "red",
    "gave_up": "red",
    "start_unknown": "red",
    "needs_action": "yellow",
    "retrying": "yellow",
    "done": "green",
}
#: Width of the table if it is not written to a terminal.
DEFAULT_WIDTH = 120
MAX_VENDOR_WIDTH = 20
#: Maximum length of a text in the table. JSON lines contain the whole.
MAX_TEXT_LENGTH = 500


def print_table(waits: Sequence[Mapping[str, Any]], out: TextIO, *, since: int, only_failed: bool) -> None:
    """
    Write waits as a table, and a summary.

    :param waits: The waits of the page's API.
    :param out: Where to write them.
    :param since: The time within which the listed waits ended, in seconds.
    :param only_failed: Whether only waits that failed were read.
    """
    now = clock.current.time()
    console = _console(out)
    if waits:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("State", no_wrap=True)
        table.add_column("Since", no_wrap=True)
        table.add_column("Took", no_wrap=True, justify="right")
        table.add_column("Progress", no_wrap=True, justify="right")
        table.add_column("Vendor", no_wrap=True, max_width=MAX_VENDOR_WIDTH)
        table.add_column("Import", overflow="fold")
        # Failed ones last, next to the prompt.
        for wait in sorted(waits, key=_rank):
            table.add_row(*_cells(wait, now))
        console.print(table)
    counts = {"failed": _count(waits, FAILED)}
    if not only_failed:
        over = _count(waits, OVER)
        counts |= {"done, started or skipped": over, "under way": len(waits) - counts["failed"] - over}
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    console.print(Text(f"Since {_local(now - since, now)}: {words}."))


def _console(out: TextIO) -> Console:
    if is_terminal(out):
        return make_console(out)
    # rich reads the variable itself.
    width = None if "COLUMNS" in os.environ else DEFAULT_WIDTH
    return make_console(out, force_terminal=False, width=width)


def _count(waits: Iterable[Mapping[str, Any]], states: tuple[str, ...]) -> int:
    return sum(wait["state"] in states for wait in waits)


def _rank(wait: Mapping[str, Any]) -> tuple[int, float]:
    return (2 if wait["state"] in FAILED else 1 if wait["state"] in OVER else 0, _since(wait) or 0.0)


def _since(wait: Mapping[str, Any]) -> float | None:
    moment: float | None = wait["waiting_since"] if wait["ended_at"] is None else wait["ended_at"]
    return moment


def _cells(wait: Mapping[str, Any], now: float) -> tuple[Text, ...]:
    style = STYLES.get(wait["state"], "")
    since = _since(wait)
    mapped = "" if wait["map_index"] < 0 else f" [{wait['map_index']}]"
    lines = [
        Text(printable(wait["import_id"] or "no import"), style="bold"),
        Text(printable(f"{wait['dag_id']} · {wait['task_id']}{mapped} · {wait['run_id']}")),
        *(Text(printable(text), style=style) for text in _texts(wait)),
    ]
    return (
        Text(wait["state"].replace("_", " "), style=style),
        Text("" if since is None else _local(since, now)),
        Text(_took(wait, now)),
        Text("" if wait["percent"] is None else f"{int(wait['percent'])} %"),
        Text(printable(wait["vendor"] or "")),
        Text("\n").join(lines),
    )


def _texts(wait: Mapping[str, Any]) -> Iterable[str]:
    start = wait["start"]
    if start is not None and start["content"] and start["state"] in ("started", "not_awaited"):
        yield f"Started with {start['content'][:MAX_TEXT_LENGTH]}."
    if wait["state"] == "gave_up":
        yield "Whether the import succeeded is unknown: check at the vendor."
    if wait["state"] == "start_unknown":
        # The whole text, which ends with what to do.
        yield wait["error"] or "It is unknown whether the import was started: check at the vendor."
    elif wait["state"] not in OVER and (text := wait["error"] or wait["message"]):
        yield text[:MAX_TEXT_LENGTH]


def _took(wait: Mapping[str, Any], now: float) -> str:
    """Return how long a wait took, or has taken so far."""
    is_timed = wait["state"] not in (*FAILED, *OVER, "retrying") and wait["waiting_since"] is not None
    seconds = now - wait["waiting_since"] if is_timed else wait["took"]
    return "" if seconds is None else _in_words(max(0.0, seconds))


def _in_words(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        # From one and a half of a unit on, so that rounding changes little.
        if seconds >= 1.5 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{int(seconds)} s"


def _local(moment: float, now: float) -> str:
    """Return a time as a local clock shows it, with the date unless it is today's."""
    at, today = (datetime.fromtimestamp(value).astimezone() for value in (moment, now))
    return at.strftime("%H:%M" if at.date() == today.date() else "%Y-%m-%d %H:%M")
