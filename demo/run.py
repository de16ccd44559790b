# SPDX-License-Identifier: Apache-2.0
"""
Show good and bad imports in a real Airflow, and check how the wait for each of them ends.

``make demo`` runs this. The exit status is 0 if all waits end as expected, 1 if not, and 130 after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import requests
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.waiting.published import XCOM_KEY
from demo.cases import CASES, Case
from tools.airflow_api import FINAL_RUN_STATES, AirflowApi, WaitedTooLongError
from tools.examples import EXAMPLE_DAGS, connections_to
from tools.guard import leave_blocks_on_signals
from tools.local_airflow import AirflowStartError, LocalAirflow
from tools.postgres import postgres

_IMPORT_SECONDS = 25
_DEADLINE_SECONDS = 360
_STYLES = {"success": "green", "failed": "red", "upstream_failed": "yellow", "deferred": "magenta"}


@dataclass
class CaseRun:
    """
    The run of a case, and its last known state at the vendor and in Airflow.

    :param case: The case.
    :param run_id: The DAG run. None: it has not started.
    :param import_id: The import. None: it has not started.
    :param disturbed: Whether the changes of the sandbox were made.
    :param percent: The progress at the vendor.
    :param wait_task: The state of the waiting task.
    :param next_task: The state of the next task.
    :param ended: Whether the DAG run has ended.
    """

    case: Case
    run_id: str | None = None
    import_id: str | None = None
    disturbed: bool = False
    percent: int = 0
    wait_task: str = "-"
    next_task: str = "-"
    ended: bool = False

    @property
    def is_as_expected(self) -> bool:
        """Whether the waiting task and the next task ended in the expected states."""
        return (self.wait_task, self.next_task) == self.case.expected


def main() -> int:
    """Run the demo and return its exit status."""
    # The default width without a terminal would cut the words in the table.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    leave_blocks_on_signals()
    started = time.monotonic()
    try:
        with Sandbox(import_duration=_IMPORT_SECONDS) as sandbox, postgres() as database:
            console.print(f"The vendors' sandbox listens on {sandbox.url}")
            with LocalAirflow(
                EXAMPLE_DAGS, connections=connections_to(sandbox), database_url=database.url, report=console.print
            ) as airflow:
                console.print(f"Airflow is up on {airflow.url} after {time.monotonic() - started:.0f} s\n")
                console.print("Imports into Rocket.Chat run one after the other: a workspace has one at a time.\n")
                airflow.api.wait_for_dags(*{case.dag_id for case in CASES})
                runs = [CaseRun(case) for case in CASES]
                _follow(console, airflow, sandbox, runs)
                _show_result(console, airflow.api, runs)
    except KeyboardInterrupt:
        console.print("\nStopped: nothing is left running or written.")
        return 130
    except (AirflowStartError, WaitedTooLongError) as error:
        console.print(Text(f"\n{error}", style="red"))
        return 1
    all_as_expected = all(run.is_as_expected for run in runs)
    verdict = "[green]All imports ended as expected" if all_as_expected else "[red]Not all imports ended as expected"
    console.print(f"\n{verdict}[/], after {time.monotonic() - started:.0f} s.")
    return 0 if all_as_expected else 1


def _follow(console: Console, airflow: LocalAirflow, sandbox: Sandbox, runs: list[CaseRun]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    with _bars(console, runs) if console.is_terminal else _lines(console) as display:
        while True:
            for run in runs:
                if run.run_id is None and _may_start(run, runs):
                    run.run_id = airflow.api.trigger(run.case.dag_id, run.case.conf_with_files(airflow.home))
                if run.run_id is not None and not run.ended:
                    _update(airflow.api, sandbox, run, run.run_id)
                display.show(run)
            if all(run.ended for run in runs):
                return
            airflow.check_running()
            if time.monotonic() > deadline:
                raise WaitedTooLongError(f"the imports had not ended after {_DEADLINE_SECONDS} seconds")
            time.sleep(0.5)


def _may_start(run: CaseRun, runs: list[CaseRun]) -> bool:
    if not run.case.is_alone:
        return True
    return all(other.ended for other in runs[: runs.index(run)] if other.case.vendor == run.case.vendor)


def _update(api: AirflowApi, sandbox: Sandbox, run: CaseRun, run_id: str) -> None:
    case = run.case
    # Read first: once the run has ended, the states of its tasks are final.
    run.ended = api.run_state(case.dag_id, run_id) in FINAL_RUN_STATES
    states = {task["task_id"]: task["state"] for task in api.task_instances(case.dag_id, run_id)}
    if run.import_id is None and case.start_task is None and states[case.wait_task]:
        run.import_id = _published_import_id(api, case, run_id)
    elif run.import_id is None and case.start_task is not None and states[case.start_task] == "success":
        started = api.xcom(case.dag_id, run_id, case.start_task)
        # A vendor that returns no id has only one import at a time: the newest.
        newest = [import_["import_id"] for import_ in sandbox.imports() if import_["vendor"] == case.vendor][-1]
        run.import_id = started if isinstance(started, str) else newest
    if case.meanwhile and not run.disturbed and states[case.wait_task] == "deferred":
        sandbox.change(case.vendor, **case.meanwhile)
        run.disturbed = True
    for import_ in sandbox.imports():
        if import_["import_id"] == run.import_id and import_["progress"] is not None:
            # The sandbox reports -1 for a failed import. The bar then keeps its last value.
            run.percent = max(run.percent, int(import_["progress"]))
    run.wait_task = states[case.wait_task] or "-"
    run.next_task = states[case.next_task] or "-"


def _published_import_id(api: AirflowApi, case: Case, run_id: str) -> str | None:
    """Return the import that an operator has started, or None if it has not published any yet."""
    try:
        published = api.xcom(case.dag_id, run_id, case.wait_task, key=XCOM_KEY)
    except requests.HTTPError:
        return None
    values = json.loads(published) if isinstance(published, str) else published
    import_id: str = values["import_id"]
    return import_id


class _Bars:
    """A progress bar for each import, redrawn in place."""

    def __init__(self, progress: Progress, runs: list[CaseRun]) -> None:
        self._progress = progress
        self._rows: dict[Case, TaskID] = {
            run.case: progress.add_task(_title(run.case), total=100, wait_task="-", next_task="-") for run in runs
        }

    def show(self, run: CaseRun) -> None:
        self._progress.update(
            self._rows[run.case],
            completed=run.percent,
            wait_task=_styled(run.wait_task),
            next_task=f"{run.case.next_task} {_styled(run.next_task)}",
        )


class _Lines:
    """A line for each change, where there is no terminal to redraw."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[Case, str] = {}

    def show(self, run: CaseRun) -> None:
        quarter = run.percent // 25 * 25
        states = f"{run.case.wait_task} {run.wait_task}, {run.case.next_task} {run.next_task}"
        line = f"{_title(run.case)}: vendor {quarter} %, {states}"
        if self._shown.get(run.case) != line:
            self._shown[run.case] = line
            self._console.print(line)


@contextlib.contextmanager
def _bars(console: Console, runs: list[CaseRun]) -> Iterator[_Bars]:
    columns = (
        TextColumn("{task.description}"),
        TextColumn("vendor"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[wait_task]}"),
        TextColumn("{task.fields[next_task]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, runs)


@contextlib.contextmanager
def _lines(console: Console) -> Iterator[_Lines]:
    yield _Lines(console)


def _show_result(console: Console, api: AirflowApi, runs: list[CaseRun]) -> None:
    table = Table()
    for heading in ("import", "waiting task", "next task", "expected", ""):
        table.add_column(heading)
    for run in runs:
        table.add_row(
            _title(run.case),
            _styled(run.wait_task),
            _styled(run.next_task),
            ", ".join(run.case.expected),
            "[green]OK" if run.is_as_expected else "[bold red]WRONG",
        )
    console.print()
    console.print(table)
    for run in runs:
        if run.run_id is not None and run.wait_task == "failed":
            console.print(f"\n[bold]{_title(run.case)}[/]: the log of {run.case.wait_task} ends with")
            console.print(Text(f"{api.last_error(run.case.dag_id, run.run_id, run.case.wait_task)}", style="red"))


def _title(case: Case) -> str:
    return f"{case.vendor} {case.title}"


def _styled(state: str) -> str:
    return f"[{_STYLES.get(state, 'default')}]{state}[/]"


if __name__ == "__main__":
    sys.exit(main())
