# SPDX-License-Identifier: Apache-2.0
"""
What waits without workers save, in a real Airflow on a real database.

The same waits run one mode after the other. The executor writes down what each start of a worker costs, so what the
waits take is not mixed up with what the tasks around them take; all else is seen as the CPU time of Airflow's
components and of the database.
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
from benchmarks.triggerer import Figures
from tools.airflow_api import FINAL_RUN_STATES, wait_until
from tools.guard import session_members
from tools.local_airflow import LocalAirflow
from tools.postgres import Postgres, postgres

ROOT = Path(__file__).parent.parent
DAGS = Path(__file__).parent / "dags"
#: Those that are compared first.
MODES = ("without_workers", "deferred", "rescheduled")
ROUNDS = 3
WAITS = 50
MANY_WAITS = 500
#: Long enough for all sensors to have begun to wait, on two cores.
BEGUN_AFTER = 40.0
#: Over how many seconds the ends of the imports are spread.
SPREAD = 45.0
#: When the many imports end, in seconds after their creation.
MANY_LAST = 150.0
IDLE_SECONDS = 20.0
LOOK_INTERVAL = 2.0
RUN_TIMEOUT = 900.0
BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")

Cpu = dict[str, float]


def without_workers(seconds: float | None) -> Figures:
    """
    Measure fifty waits in each mode, on imports that end one after the other.

    :param seconds: Over how many seconds the ends are spread, for a single round.
    """
    spread, rounds = (seconds or SPREAD), (1 if seconds else ROUNDS)
    with _bench() as bench:
        return {
            "waits": WAITS,
            "spread": spread,
            "idle_cpu_per_second": bench.idle,
            "rounds": [{mode: bench.waits(mode, spread) for mode in MODES[:2]} for _ in range(rounds)],
            "rescheduled": bench.waits("rescheduled", spread),
        }


def many_without_workers(_: float | None) -> Figures:
    """Measure five hundred waits that begin in the same second, in one run and in ten."""
    with _bench() as bench:
        return {
            "waits": MANY_WAITS,
            # First, because of the other one the triggerer keeps a lot of memory to tidy up.
            "ten_runs": bench.many("fifty", MANY_WAITS // WAITS),
            "one_run": bench.many("five_hundred", 1),
        }


@contextmanager
def _bench() -> Iterator[_Bench]:
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() as database,
        Sandbox() as sandbox,
        _airflow(sandbox, database, Path(folder) / "costs.jsonl") as airflow,
    ):
        airflow.api.wait_for_dags(*MODES, "fifty", "five_hundred")
        yield _Bench(airflow, sandbox, database, Path(folder) / "costs.jsonl")


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


class _Bench:
    """Run DAGs in one Airflow, and measure it."""

    def __init__(self, airflow: LocalAirflow, sandbox: Sandbox, database: Postgres, costs: Path) -> None:
        self._airflow = airflow
        self._api = airflow.api
        self._sandbox = sandbox
        self._database = database
        self._costs = costs
        self._runs = 0
        before = self._cpu()
        time.sleep(IDLE_SECONDS)
        #: What each component takes in a second in which nothing happens.
        self.idle = {name: used / IDLE_SECONDS for name, used in _since(before, self._cpu()).items()}

    def waits(self, mode: str, spread: float) -> Figures:
        """
        Run the DAG of a mode, and see that it did what it should.

        :param mode: The mode, which is also the id of its DAG.
        :param spread: Over how many seconds the ends of the imports are spread.
        """
        print(f"  {mode}, ends spread over {spread:g} s", flush=True)
        self._sandbox.reset()
        ids, ends = self._new_imports([BEGUN_AFTER + spread * number / (WAITS - 1) for number in range(WAITS)])
        before, began_at = self._cpu(), time.monotonic()
        run_id = self._start(mode, ids)
        self._wait_for_end(mode, run_id)
        seconds = time.monotonic() - began_at
        used = {name: cpu - self.idle[name] * seconds for name, cpu in _since(before, self._cpu()).items()}
        starts = self._worker_starts(run_id)
        tasks = {task["task_id"]: task for task in self._api.task_instances(mode, run_id)}
        self._check(mode, run_id, ids, tasks)
        starts_for_waits = [start for start in starts if start["task_id"] in ids]
        with_a_hostname = [name for name in ids if tasks[name]["hostname"] or tasks[name]["pid"]]
        in_the_log = self._worker_starts_in_the_log(run_id, "wait_")
        if mode == "without_workers" and (starts_for_waits or with_a_hostname or in_the_log):
            raise AssertionError(f"a worker was started: {starts_for_waits} {with_a_hostname} {in_the_log}")
        seen = self._seen(ends)
        next_at = {ids[name]: _moment(tasks[_next(name)]["start_date"]) for name in ids}
        return {
            "seconds": seconds,
            "worker_starts_for_waits": len(starts_for_waits),
            "worker_starts_for_waits_in_the_log": in_the_log,
            "waits_with_a_hostname": len(with_a_hostname),
            "worker_seconds_for_waits": sum(start["seconds"] for start in starts_for_waits),
            "worker_cpu_for_waits": sum(start["cpu_seconds"] for start in starts_for_waits),
            "worker_cpu": sum(start["cpu_seconds"] for start in starts),
            "cpu": used,
            "end_to_seen": _distribution([seen[one] - at for one, at in ends.items()]),
            "seen_to_next_step": _distribution([next_at[one] - seen[one] for one in ends]),
            "end_to_next_step": _distribution([next_at[one] - at for one, at in ends.items()]),
            "begun_after": max(self._first_requests(ids).values()) - min(_created(self._sandbox)),
            "requests": len(self._sandbox.requests()),
        }

    def many(self, dag_id: str, runs: int) -> Figures:
        """
        Start many waits at once.

        :param dag_id: The DAG.
        :param runs: How many runs of it.
        """
        print(f"  {MANY_WAITS} waits, {runs} x {dag_id}", flush=True)
        self._sandbox.reset()
        ids, ends = self._new_imports([MANY_LAST] * MANY_WAITS)
        logged = len(self._airflow.component_log("triggerer"))
        before = self._cpu()
        each = MANY_WAITS // runs
        run_ids = []
        for first in range(0, MANY_WAITS, each):
            own = list(ids.values())[first : first + each]
            run_ids.append(self._start(dag_id, {f"wait_{number}": one for number, one in enumerate(own)}))
        wait_until(
            "all imports to be polled",
            lambda: len(self._first_requests(ids)) == MANY_WAITS,
            timeout=RUN_TIMEOUT,
            interval=LOOK_INTERVAL,
        )
        polled_at = self._first_requests(ids).values()
        used = _since(before, self._cpu())
        blocked = [float(told) for told in BLOCKED.findall(self._airflow.component_log("triggerer")[logged:])]
        for run_id in run_ids:
            self._wait_for_end(dag_id, run_id)
        uploaded_at: list[float] = []
        ended_at: list[float] = []
        for run_id in run_ids:
            tasks = {task["task_id"]: task for task in self._api.task_instances(dag_id, run_id)}
            wrong = {
                name: (task["state"], task["hostname"])
                for name, task in tasks.items()
                if task["state"] != "success" or (task["hostname"] and name != "upload")
            }
            if wrong:
                raise AssertionError(f"{run_id} of {dag_id}: {wrong}")
            uploaded_at.append(_moment(tasks["upload"]["end_date"]))
            ended_at.extend(_moment(task["end_date"]) for task in tasks.values())
        return {
            "runs": runs,
            "seconds_to_first_poll": _distribution([at - min(uploaded_at) for at in polled_at]),
            "blocked_warnings": len(blocked),
            "blocked_seconds": sum(blocked),
            "blocked_longest": max(blocked, default=0.0),
            "cpu_until_polled": used,
            "seconds_from_end_to_success": max(ended_at) - max(*ends.values(), *polled_at),
        }

    def _new_imports(self, durations: list[float]) -> tuple[dict[str, str], dict[str, float]]:
        ids = {
            f"wait_{number}": self._sandbox.create_import("lucca", "leave", {"duration": duration})
            for number, duration in enumerate(durations)
        }
        created = _created(self._sandbox)
        return ids, {one: at + duration for one, at, duration in zip(ids.values(), created, durations, strict=True)}

    def _start(self, dag_id: str, ids: Mapping[str, str]) -> str:
        self._runs += 1
        return self._api.trigger(dag_id, {"import_ids": dict(ids)}, run_id=f"run-{self._runs}")

    def _wait_for_end(self, dag_id: str, run_id: str) -> None:
        def ended() -> bool:
            self._airflow.check_running()
            return self._api.run_state(dag_id, run_id) in FINAL_RUN_STATES

        wait_until(f"{run_id} of {dag_id} to end", ended, timeout=RUN_TIMEOUT, interval=LOOK_INTERVAL)

    def _check(self, dag_id: str, run_id: str, ids: Mapping[str, str], tasks: Mapping[str, dict[str, Any]]) -> None:
        wrong = {name: task["state"] for name, task in tasks.items() if task["state"] != "success"}
        for name, import_id in ids.items():
            progress = self._api.xcom(dag_id, run_id, name)
            if not isinstance(progress, dict) or (progress["import_id"], progress["state"]) != (import_id, "succeeded"):
                wrong[name] = progress
            if self._api.xcom(dag_id, run_id, _next(name)) != import_id:
                wrong[_next(name)] = "got another import"
        if wrong:
            raise AssertionError(f"{run_id} of {dag_id}: {wrong}")

    def _worker_starts(self, run_id: str) -> list[dict[str, Any]]:
        """Return what the executor wrote down, once it has nothing more to write."""

        def all_written() -> list[dict[str, Any]] | None:
            starts = [json.loads(line) for line in self._costs.read_text().splitlines()]
            own = [start for start in starts if start["run_id"] == run_id]
            return own if len(own) == self._worker_starts_in_the_log(run_id, "") else None

        return wait_until("the last worker to end", all_written, timeout=30)

    def _worker_starts_in_the_log(self, run_id: str, task_prefix: str) -> int:
        lines = self._airflow.component_log("scheduler").splitlines()
        handed_over = "".join(line for line in lines if "Trying to enqueue tasks" in line)
        return len(re.findall(rf"<TaskInstance: \w+\.{task_prefix}\w+ {run_id} ", handed_over))

    def _first_requests(self, ids: Mapping[str, str]) -> dict[str, float]:
        first: dict[str, float] = {}
        wanted = set(ids.values())
        for request in self._sandbox.requests():
            if request["import_id"] in wanted:
                first.setdefault(str(request["import_id"]), request["at"])
        return first

    def _seen(self, ends: Mapping[str, float]) -> dict[str, float]:
        seen: dict[str, float] = {}
        for request in self._sandbox.requests():
            import_id = str(request["import_id"])
            if request["at"] >= ends[import_id]:
                seen.setdefault(import_id, request["at"])
        return seen

    def _cpu(self) -> Cpu:
        scheduler = self._airflow.process_id("scheduler")
        return {
            # The executor's workers are in the scheduler's session.
            "scheduler": _cpu_of([scheduler], with_children=False),
            "triggerer": _cpu_of(session_members({self._airflow.process_id("triggerer")})),
            "api_server": _cpu_of(session_members({self._airflow.process_id("api-server")})),
            "workers": _cpu_of([pid for pid in session_members({scheduler}) if pid != scheduler]),
            "dag_processor": _cpu_of(session_members({self._airflow.process_id("dag-processor")})),
            "database": _cpu_of(
                [
                    self._database.pid,
                    *(child.pid for child in psutil.Process(self._database.pid).children(recursive=True)),
                ]
            ),
        }


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


def _since(before: Cpu, after: Cpu) -> Cpu:
    return {name: after[name] - before[name] for name in before}


def _created(sandbox: Sandbox) -> list[float]:
    return [one["created_at"] for one in sandbox.imports()]


def _next(wait: str) -> str:
    return wait.replace("wait", "next")


def _moment(date: str) -> float:
    return datetime.fromisoformat(date).timestamp()


def _distribution(values: list[float]) -> dict[str, float]:
    return {
        "median": statistics.median(values),
        "p90": statistics.quantiles(values, n=10, method="inclusive")[-1],
        "max": max(values),
    }
