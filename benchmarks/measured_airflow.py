# SPDX-License-Identifier: Apache-2.0
"""
A real Airflow on a real database, whose cost is measured.

The executor writes down what each start of a worker costs, so what some tasks take is not mixed up with what the tasks
around them take; all else is seen as the CPU time of Airflow's components and of the database.
"""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from airflow_import_progress.sandbox import Sandbox
from benchmarks.measured_executor import COSTS_FILE
from tools.airflow_api import FINAL_RUN_STATES, wait_until
from tools.guard import session_members
from tools.local_airflow import LocalAirflow
from tools.postgres import Postgres, postgres

ROOT = Path(__file__).parent.parent
DAGS = Path(__file__).parent / "dags"
DAG_IDS = {file.stem for file in DAGS.glob("*.py")} - {"dag_parts"}
IDLE_SECONDS = 20.0
LOOK_INTERVAL = 2.0
RUN_TIMEOUT = 900.0

Cpu = dict[str, float]


@contextmanager
def measured_airflow() -> Iterator[MeasuredAirflow]:
    """Run Airflow with all DAGs of the benchmarks, PostgreSQL and the sandbox."""
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() as database,
        Sandbox() as sandbox,
        _airflow(sandbox, database, Path(folder) / "costs.jsonl") as airflow,
    ):
        airflow.api.wait_for_dags(*DAG_IDS)
        yield MeasuredAirflow(airflow, sandbox, database, Path(folder) / "costs.jsonl")


def _airflow(sandbox: Sandbox, database: Postgres, costs: Path) -> LocalAirflow:
    connection = {**sandbox.airflow_connection("lucca"), "extra": {"requests_per_minute": 100_000}}
    return LocalAirflow(
        DAGS,
        connections={"lucca_default": connection},
        database_url=database.url,
        settings={
            "AIRFLOW__CORE__EXECUTOR": "benchmarks.measured_executor.MeasuredExecutor",
            # As many as Airflow lets a DAG use: nobody waits for a free worker rather than for a start.
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "1000",
            # The DAGs are not read again while something is measured.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "100000",
            COSTS_FILE: str(costs),
            "PYTHONPATH": str(ROOT),
        },
    )


class MeasuredAirflow:
    """
    Run DAGs in one Airflow, and measure it.

    :param airflow: Airflow.
    :param sandbox: The vendor.
    :param database: Airflow's database.
    :param costs: The file that the executor writes to.
    """

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, database: Postgres, costs: Path) -> None:
        self.airflow = airflow
        self.api = airflow.api
        self.sandbox = sandbox
        self._database = database
        self._costs = costs
        self._runs = 0
        before = self.cpu()
        time.sleep(IDLE_SECONDS)
        #: What each component takes in a second in which nothing happens.
        self.idle = {name: used / IDLE_SECONDS for name, used in since(before, self.cpu()).items()}

    def start(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """
        Start a run of a DAG, and return its id.

        :param dag_id: The DAG.
        :param conf: The configuration of the run.
        """
        self._runs += 1
        return self.api.trigger(dag_id, conf, run_id=f"run-{self._runs}")

    def wait_for_end(self, dag_id: str, run_id: str) -> None:
        """
        Wait for the end of a run.

        :param dag_id: The DAG.
        :param run_id: The run.
        """

        def ended() -> bool:
            self.airflow.check_running()
            return self.api.run_state(dag_id, run_id) in FINAL_RUN_STATES

        wait_until(f"{run_id} of {dag_id} to end", ended, timeout=RUN_TIMEOUT, interval=LOOK_INTERVAL)

    def succeeded_tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """
        Return the task instances of a run that has ended, by the ids of their tasks.

        :param dag_id: The DAG.
        :param run_id: The run.
        :raises AssertionError: If one of them did not succeed.
        """
        tasks = {task["task_id"]: task for task in self.api.task_instances(dag_id, run_id)}
        if wrong := {name: task["state"] for name, task in tasks.items() if task["state"] != "success"}:
            raise AssertionError(f"{run_id} of {dag_id}: {wrong}")
        return tasks

    def worker_starts(self, run_id: str) -> list[dict[str, Any]]:
        """
        Return what the executor wrote down about a run, once it has nothing more to write.

        :param run_id: The run.
        """

        def all_written() -> list[dict[str, Any]] | None:
            starts = [json.loads(line) for line in self._costs.read_text().splitlines()]
            own = [start for start in starts if start["run_id"] == run_id]
            return own if len(own) == self.worker_starts_in_the_log(run_id) else None

        return wait_until("the last worker to end", all_written, timeout=30)

    def worker_starts_in_the_log(self, run_id: str, task_prefix: str = "") -> int:
        """
        Count how often the scheduler handed tasks of a run to the executor.

        :param run_id: The run.
        :param task_prefix: How the ids of the tasks begin.
        """
        lines = self.airflow.component_log("scheduler").splitlines()
        handed_over = "".join(line for line in lines if "Trying to enqueue tasks" in line)
        return len(re.findall(rf"<TaskInstance: \w+\.{task_prefix}\w+ {run_id} ", handed_over))

    def cpu(self) -> Cpu:
        """Return the CPU seconds that each component has taken so far."""
        scheduler = self.airflow.process_id("scheduler")
        return {
            # The executor's workers are in the scheduler's session.
            "scheduler": _cpu_of([scheduler], with_children=False),
            "triggerer": _cpu_of(session_members({self.airflow.process_id("triggerer")})),
            "api_server": _cpu_of(session_members({self.airflow.process_id("api-server")})),
            "workers": _cpu_of([pid for pid in session_members({scheduler}) if pid != scheduler]),
            "dag_processor": _cpu_of(session_members({self.airflow.process_id("dag-processor")})),
            "database": _cpu_of(
                [
                    self._database.pid,
                    *(child.pid for child in psutil.Process(self._database.pid).children(recursive=True)),
                ]
            ),
        }

    def more_than_idle(self, before: Cpu, seconds: float) -> Cpu:
        """
        Return the CPU seconds of each component since then, less what it takes when nothing happens.

        :param before: What :meth:`cpu` returned then.
        :param seconds: How long ago that was.
        """
        return {name: used - self.idle[name] * seconds for name, used in since(before, self.cpu()).items()}


def _cpu_of(pids: list[int], *, with_children: bool = True) -> float:
    """Return the CPU seconds of processes and of those of their children that have ended."""
    seconds = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            seconds += times.user + times.system
            if with_children:
                seconds += times.children_user + times.children_system
    return seconds


def since(before: Cpu, after: Cpu) -> Cpu:
    """Return what each component took between two measurements."""
    return {name: after[name] - before[name] for name in before}


def moment(date: str) -> float:
    """Return a time of Airflow's API in seconds since the epoch."""
    return datetime.fromisoformat(date).timestamp()


def distribution(values: list[float]) -> dict[str, float]:
    """Return the median, the 90th percentile and the maximum."""
    return {
        "median": statistics.median(values),
        "p90": statistics.quantiles(values, n=10, method="inclusive")[-1],
        "max": max(values),
    }
