# SPDX-License-Identifier: Apache-2.0
"""
What waits without workers save, in a real Airflow on a real database.

The same waits run one mode after the other.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from airflow_import_progress.sandbox import Sandbox
from benchmarks.measured_airflow import (
    LOOK_INTERVAL,
    RUN_TIMEOUT,
    MeasuredAirflow,
    distribution,
    measured_airflow,
    moment,
    since,
)
from benchmarks.triggerer import Figures
from tools.airflow_api import wait_until

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
BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")


def without_workers(seconds: float | None) -> Figures:
    """
    Measure fifty waits in each mode, on imports that end one after the other.

    :param seconds: Over how many seconds the ends are spread, for a single round.
    """
    spread, rounds = (seconds or SPREAD), (1 if seconds else ROUNDS)
    with measured_airflow() as bench:
        return {
            "waits": WAITS,
            "spread": spread,
            "idle_cpu_per_second": bench.idle,
            "rounds": [{mode: _waits(bench, mode, spread) for mode in MODES[:2]} for _ in range(rounds)],
            "rescheduled": _waits(bench, "rescheduled", spread),
        }


def many_without_workers(_: float | None) -> Figures:
    """Measure five hundred waits that begin in the same second, in one run and in ten."""
    with measured_airflow() as bench:
        return {
            "waits": MANY_WAITS,
            # First, because of the other one the triggerer keeps a lot of memory to tidy up.
            "ten_runs": _many(bench, "fifty", MANY_WAITS // WAITS),
            "one_run": _many(bench, "five_hundred", 1),
        }


def _waits(bench: MeasuredAirflow, mode: str, spread: float) -> Figures:
    """
    Run the DAG of a mode, and see that it did what it should.

    :param mode: The mode, which is also the id of its DAG.
    :param spread: Over how many seconds the ends of the imports are spread.
    """
    print(f"  {mode}, ends spread over {spread:g} s", flush=True)
    bench.sandbox.reset()
    ids, ends = _new_imports(bench.sandbox, [BEGUN_AFTER + spread * number / (WAITS - 1) for number in range(WAITS)])
    before, began_at = bench.cpu(), time.monotonic()
    run_id = bench.start(mode, {"import_ids": ids})
    bench.wait_for_end(mode, run_id)
    seconds = time.monotonic() - began_at
    used = bench.more_than_idle(before, seconds)
    starts = bench.worker_starts(run_id)
    tasks = bench.succeeded_tasks(mode, run_id)
    _check(bench, mode, run_id, ids)
    starts_for_waits = [start for start in starts if start["task_id"] in ids]
    with_a_hostname = [name for name in ids if tasks[name]["hostname"] or tasks[name]["pid"]]
    in_the_log = bench.worker_starts_in_the_log(run_id, "wait_")
    if mode == "without_workers" and (starts_for_waits or with_a_hostname or in_the_log):
        raise AssertionError(f"a worker was started: {starts_for_waits} {with_a_hostname} {in_the_log}")
    seen = _seen(bench.sandbox, ends)
    next_at = {ids[name]: moment(tasks[_next(name)]["start_date"]) for name in ids}
    return {
        "seconds": seconds,
        "worker_starts_for_waits": len(starts_for_waits),
        "worker_starts_for_waits_in_the_log": in_the_log,
        "waits_with_a_hostname": len(with_a_hostname),
        "worker_seconds_for_waits": sum(start["seconds"] for start in starts_for_waits),
        "worker_cpu_for_waits": sum(start["cpu_seconds"] for start in starts_for_waits),
        "worker_cpu": sum(start["cpu_seconds"] for start in starts),
        "cpu": used,
        "end_to_seen": distribution([seen[one] - at for one, at in ends.items()]),
        "seen_to_next_step": distribution([next_at[one] - seen[one] for one in ends]),
        "end_to_next_step": distribution([next_at[one] - at for one, at in ends.items()]),
        "begun_after": max(_first_requests(bench.sandbox, ids).values()) - min(_created(bench.sandbox)),
        "requests": len(bench.sandbox.requests()),
    }


def _many(bench: MeasuredAirflow, dag_id: str, runs: int) -> Figures:
    """
    Start many waits at once.

    :param dag_id: The DAG.
    :param runs: How many runs of it.
    """
    print(f"  {MANY_WAITS} waits, {runs} x {dag_id}", flush=True)
    bench.sandbox.reset()
    ids, ends = _new_imports(bench.sandbox, [MANY_LAST] * MANY_WAITS)
    logged = len(bench.airflow.component_log("triggerer"))
    before = bench.cpu()
    each = MANY_WAITS // runs
    run_ids = []
    for first in range(0, MANY_WAITS, each):
        own = list(ids.values())[first : first + each]
        run_ids.append(bench.start(dag_id, {"import_ids": {f"wait_{number}": one for number, one in enumerate(own)}}))
    wait_until(
        "all imports to be polled",
        lambda: len(_first_requests(bench.sandbox, ids)) == MANY_WAITS,
        timeout=RUN_TIMEOUT,
        interval=LOOK_INTERVAL,
    )
    polled_at = _first_requests(bench.sandbox, ids).values()
    used = since(before, bench.cpu())
    blocked = [float(told) for told in BLOCKED.findall(bench.airflow.component_log("triggerer")[logged:])]
    for run_id in run_ids:
        bench.wait_for_end(dag_id, run_id)
    uploaded_at: list[float] = []
    ended_at: list[float] = []
    for run_id in run_ids:
        tasks = bench.succeeded_tasks(dag_id, run_id)
        if on_a_worker := [name for name, task in tasks.items() if task["hostname"] and name != "upload"]:
            raise AssertionError(f"{run_id} of {dag_id}: a worker was started for {on_a_worker}")
        uploaded_at.append(moment(tasks["upload"]["end_date"]))
        ended_at.extend(moment(task["end_date"]) for task in tasks.values())
    return {
        "runs": runs,
        "seconds_to_first_poll": distribution([at - min(uploaded_at) for at in polled_at]),
        "blocked_warnings": len(blocked),
        "blocked_seconds": sum(blocked),
        "blocked_longest": max(blocked, default=0.0),
        "cpu_until_polled": used,
        "seconds_from_end_to_success": max(ended_at) - max(*ends.values(), *polled_at),
    }


def _new_imports(sandbox: Sandbox, durations: list[float]) -> tuple[dict[str, str], dict[str, float]]:
    ids = {
        f"wait_{number}": sandbox.create_import("lucca", "leave", {"duration": duration})
        for number, duration in enumerate(durations)
    }
    created = _created(sandbox)
    return ids, {one: at + duration for one, at, duration in zip(ids.values(), created, durations, strict=True)}


def _check(bench: MeasuredAirflow, dag_id: str, run_id: str, ids: Mapping[str, str]) -> None:
    wrong: dict[str, Any] = {}
    for name, import_id in ids.items():
        progress = bench.api.xcom(dag_id, run_id, name)
        if not isinstance(progress, dict) or (progress["import_id"], progress["state"]) != (import_id, "succeeded"):
            wrong[name] = progress
        if bench.api.xcom(dag_id, run_id, _next(name)) != import_id:
            wrong[_next(name)] = "got another import"
    if wrong:
        raise AssertionError(f"{run_id} of {dag_id}: {wrong}")


def _first_requests(sandbox: Sandbox, ids: Mapping[str, str]) -> dict[str, float]:
    first: dict[str, float] = {}
    wanted = set(ids.values())
    for request in sandbox.requests():
        if request["import_id"] in wanted:
            first.setdefault(str(request["import_id"]), request["at"])
    return first


def _seen(sandbox: Sandbox, ends: Mapping[str, float]) -> dict[str, float]:
    seen: dict[str, float] = {}
    for request in sandbox.requests():
        import_id = str(request["import_id"])
        if request["at"] >= ends[import_id]:
            seen.setdefault(import_id, request["at"])
    return seen


def _created(sandbox: Sandbox) -> list[float]:
    return [one["created_at"] for one in sandbox.imports()]


def _next(wait: str) -> str:
    return wait.replace("wait", "next")
