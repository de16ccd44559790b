# SPDX-License-Identifier: Apache-2.0
"""
Show good and bad imports in a real Airflow, and check that each was waited for and judged right.

``make demo`` runs this. The exit status is 0 if everything went as it should, 1 if not, 130 after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from airflow_import_progress.sandbox import Sandbox
from demo.cases import CASES, SENSOR, Case
from tools.airflow_api import FINAL_RUN_STATES, AirflowApi, WaitedTooLongError
from tools.examples import EXAMPLE_DAGS, connections_to
from tools.guard import leave_blocks_on_signals
from tools.local_airflow import AirflowStartError, LocalAirflow
from tools.postgres import postgres

_IMPORT_SECONDS = 25
_DEADLINE_SECONDS = 360
_STYLES = {"success": "green", "failed": "red", "upstream_failed": "yellow", "deferred": "magenta"}


@dataclass
class Wait:
    """One import that is under way, as last seen at the vendor's and in Airflow."""

    case: Case
    run_id: str | None = None
    import_id: str | None = None
    disturbed: bool = False
    percent: int = 0
    sensor: str = "-"
    next_task: str = "-"
    ended: bool = False

    @property
    def came_true(self) -> bool:
        """Tell whether the sensor and the next task ended as they should."""
        return (self.sensor, self.next_task) == self.case.expected


def main() -> int:
    """Run the demo and return its exit status."""
    # A narrow default where there is no terminal would cut the table's words.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    leave_blocks_on_signals()
    started = time.monotonic()
    try:
        with Sandbox(import_duration=_IMPORT_SECONDS) as sandbox, postgres() as database:
            console.print(f"The vendors' sandbox listens on {sandbox.url}")
            with LocalAirflow(
                EXAMPLE_DAGS, connections=connections_to(sandbox), database_url=database.url, tell=console.print
            ) as airflow:
                console.print(f"Airflow is up on {airflow.url} after {time.monotonic() - started:.0f} s\n")
                console.print("Imports into Rocket.Chat run one after the other: a workspace has one at a time.\n")
                airflow.api.wait_for_dags(*{case.dag_id for case in CASES})
                waits = [Wait(case) for case in CASES]
                _watch(console, airflow, sandbox, waits)
                _show_result(console, airflow.api, waits)
    except KeyboardInterrupt:
        console.print("\nStopped: nothing is left running or written.")
        return 130
    except (AirflowStartError, WaitedTooLongError) as error:
        console.print(Text(f"\n{error}", style="red"))
        return 1
    all_true = all(wait.came_true for wait in waits)
    verdict = "[green]Everything came true" if all_true else "[red]Not everything came true"
    console.print(f"\n{verdict}[/], after {time.monotonic() - started:.0f} s.")
    return 0 if all_true else 1


def _watch(console: Console, airflow: LocalAirflow, sandbox: Sandbox, waits: list[Wait]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    with _bars(console, waits) if console.is_terminal else _lines(console) as display:
        while True:
            for wait in waits:
                if wait.run_id is None and _may_start(wait, waits):
                    wait.run_id = airflow.api.trigger(wait.case.dag_id, wait.case.conf)
                if wait.run_id is not None and not wait.ended:
                    _look(airflow.api, sandbox, wait, wait.run_id)
                display.show(wait)
            if all(wait.ended for wait in waits):
                return
            airflow.check_running()
            if time.monotonic() > deadline:
                raise WaitedTooLongError(f"the imports had not ended after {_DEADLINE_SECONDS} seconds")
            time.sleep(0.5)


def _may_start(wait: Wait, waits: list[Wait]) -> bool:
    if not wait.case.is_alone:
        return True
    return all(other.ended for other in waits[: waits.index(wait)] if other.case.vendor == wait.case.vendor)


def _look(api: AirflowApi, sandbox: Sandbox, wait: Wait, run_id: str) -> None:
    case = wait.case
    # Asked first: when the run has ended, the states of its tasks read after that are the last ones.
    wait.ended = api.run_state(case.dag_id, run_id) in FINAL_RUN_STATES
    states = {task["task_id"]: task["state"] for task in api.task_instances(case.dag_id, run_id)}
    if wait.import_id is None and states[case.start_task] == "success":
        started = api.xcom(case.dag_id, run_id, case.start_task)
        # Where the vendor answers no id, no other import is under way.
        newest = [one["import_id"] for one in sandbox.imports() if one["vendor"] == case.vendor][-1]
        wait.import_id = started if isinstance(started, str) else newest
    if case.meanwhile and not wait.disturbed and states[SENSOR] == "deferred":
        sandbox.change(case.vendor, **case.meanwhile)
        wait.disturbed = True
    for progress in sandbox.imports():
        if progress["import_id"] == wait.import_id and progress["progress"] is not None:
            # The sandbox says -1 when an import has failed; the bar then stays where it was.
            wait.percent = max(wait.percent, int(progress["progress"]))
    wait.sensor = states[SENSOR] or "-"
    wait.next_task = states[case.next_task] or "-"


class _Bars:
    """A progress bar for each import, redrawn in place."""

    def __init__(self, progress: Progress, waits: list[Wait]) -> None:
        self._progress = progress
        self._rows: dict[Case, TaskID] = {
            wait.case: progress.add_task(_title(wait.case), total=100, sensor="-", next_task="-") for wait in waits
        }

    def show(self, wait: Wait) -> None:
        self._progress.update(
            self._rows[wait.case],
            completed=wait.percent,
            sensor=_coloured(wait.sensor),
            next_task=f"{wait.case.next_task} {_coloured(wait.next_task)}",
        )


class _Lines:
    """A line for each change, where there is no terminal to redraw."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[Case, str] = {}

    def show(self, wait: Wait) -> None:
        quarter = wait.percent // 25 * 25
        states = f"sensor {wait.sensor}, {wait.case.next_task} {wait.next_task}"
        line = f"{_title(wait.case)}: vendor {quarter} %, {states}"
        if self._shown.get(wait.case) != line:
            self._shown[wait.case] = line
            self._console.print(line)


@contextlib.contextmanager
def _bars(console: Console, waits: list[Wait]) -> Iterator[_Bars]:
    columns = (
        TextColumn("{task.description}"),
        TextColumn("vendor"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("sensor {task.fields[sensor]}"),
        TextColumn("{task.fields[next_task]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, waits)


@contextlib.contextmanager
def _lines(console: Console) -> Iterator[_Lines]:
    yield _Lines(console)


def _show_result(console: Console, api: AirflowApi, waits: list[Wait]) -> None:
    table = Table()
    for heading in ("import", "sensor", "next task", "expected", ""):
        table.add_column(heading)
    for wait in waits:
        table.add_row(
            _title(wait.case),
            _coloured(wait.sensor),
            _coloured(wait.next_task),
            ", ".join(wait.case.expected),
            "[green]OK" if wait.came_true else "[bold red]WRONG",
        )
    console.print()
    console.print(table)
    for wait in waits:
        if wait.run_id is not None and wait.sensor == "failed":
            console.print(f"\n[bold]{_title(wait.case)}[/]: the sensor's log ends with")
            console.print(Text(f"{api.last_error(wait.case.dag_id, wait.run_id, SENSOR)}", style="red"))


def _title(case: Case) -> str:
    return f"{case.vendor} {case.title}"


def _coloured(state: str) -> str:
    return f"[{_STYLES.get(state, 'default')}]{state}[/]"


if __name__ == "__main__":
    sys.exit(main())
