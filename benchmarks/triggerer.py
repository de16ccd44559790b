# SPDX-License-Identifier: Apache-2.0
"""
A process that runs waits as Airflow's triggerer does, and measures itself.

``run_triggerer`` starts it anew for each measurement: what one contender has loaded or kept costs no other one.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger

from benchmarks.contenders import Scene
from benchmarks.vendor import allow_many_connections, polls_answered

#: How often Airflow's triggerer looks whether its event loop is blocked, in seconds, and from when on it says so.
WATCHDOG_INTERVAL = 0.1
WATCHDOG_THRESHOLD = 0.2
LAG_INTERVAL = 0.02

Figures = dict[str, Any]


def run_triggerer(measurement: str, scene: Scene, **arguments: float) -> Figures:
    """
    Measure in a new process.

    :param measurement: Which of :data:`MEASUREMENTS`.
    :param scene: Who waits for what.
    :param arguments: The arguments of the measurement.
    """
    task = json.dumps({"measurement": measurement, "scene": asdict(scene), "arguments": arguments})
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "benchmarks.triggerer", task],
            env={**os.environ, "AIRFLOW_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


class Triggerer:
    """Run waits in the part of Airflow's triggerer that runs triggers, fed as its supervisor would feed it."""

    def __init__(self) -> None:
        self.runner = TriggerRunner()
        self._number = 0

    async def start(self, waits: Iterable[BaseTrigger]) -> None:
        """
        Start waits.

        :param waits: The waits.
        """
        for wait in waits:
            self._number += 1
            class_path, arguments = wait.serialize()
            self.runner.to_create.append(
                RunTrigger(
                    id=self._number, ti=None, classpath=class_path, encrypted_kwargs=Trigger.encrypt_kwargs(arguments)
                )
            )
            await self.runner.create_triggers()

    async def stop(self) -> None:
        """Cancel all waits."""
        tasks = [running["task"] for running in self.runner.triggers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.runner.triggers.clear()

    def events(self) -> Counter[str]:
        """Return how many waits ended, and how."""
        failed = [type(error).__name__ for _, error in self.runner.failed_triggers]
        for running in self.runner.triggers.values():
            task = running["task"]
            if task.done() and not task.cancelled() and task.exception():
                failed.append(type(task.exception()).__name__)
        payloads = [entry.event.payload for entry in self.runner.events]
        return Counter(
            [*failed, *(load.get("error", "success") if isinstance(load, dict) else "success" for load in payloads)]
        )


class LoopWatch:
    """Measure how late an event loop is, with what Airflow would have warned of."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.blocked_at: list[float] = []
        self.collections: list[float] = []
        self._collecting_since = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> LoopWatch:
        # Python's garbage collector holds up everything, and longest where there are many objects.
        gc.callbacks.append(self._measure_collection)
        self._tasks = [asyncio.create_task(self._measure_lag()), asyncio.create_task(self._watch_as_airflow_does())]
        return self

    async def __aexit__(self, *_: object) -> None:
        gc.callbacks.remove(self._measure_collection)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def figures(self) -> Figures:
        """Return the lags in milliseconds."""
        lags = sorted(self.lags)
        return {
            "lag_p50_ms": 1000 * lags[len(lags) // 2],
            "lag_p99_ms": 1000 * lags[len(lags) * 99 // 100],
            "lag_max_ms": 1000 * lags[-1],
            "blocked_warnings": len(self.blocked_at),
            "blocked_at_seconds": self.blocked_at,
            "longest_collections_ms": [1000 * length for length in sorted(self.collections)[:-6:-1]],
        }

    def _measure_collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.monotonic()
        else:
            self.collections.append(time.monotonic() - self._collecting_since)

    async def _measure_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_INTERVAL)
            self.lags.append(time.monotonic() - before - LAG_INTERVAL)

    async def _watch_as_airflow_does(self) -> None:
        began = time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(WATCHDOG_INTERVAL)
            if time.monotonic() - before > WATCHDOG_THRESHOLD:
                self.blocked_at.append(round(before - began, 1))


async def cpu(scene: Scene, *, waits: float, warm_up: float, seconds: float) -> Figures:
    """Measure what a poll costs once the waits are under way."""
    triggerer = Triggerer()
    before_start = time.process_time()
    await triggerer.start(scene.waits(int(waits)))
    await asyncio.sleep(warm_up)
    polls, started_at = polls_answered(scene.port), time.monotonic()
    cpu_before = time.process_time()
    await asyncio.sleep(seconds)
    cpu_after = time.process_time()
    polls, elapsed = polls_answered(scene.port) - polls, time.monotonic() - started_at
    return {
        "polls": polls,
        "polls_per_second": polls / elapsed,
        "cpu_ms_per_poll": 1000 * (cpu_after - cpu_before) / polls,
        "cpu_share": (cpu_after - cpu_before) / elapsed,
        "cpu_seconds_to_warm_up": cpu_before - before_start,
        "events": dict(triggerer.events()),
    }


async def lag(scene: Scene, *, waits: float, seconds: float, collects: float) -> Figures:
    """Measure how late the event loop is from the start of the waits on, with Python's garbage collector or without."""
    if not collects:
        gc.disable()
    triggerer = Triggerer()
    # Loading a trigger's code blocks the event loop, but a triggerer does it once in its life.
    await triggerer.start(scene.waits(1))
    await asyncio.sleep(1)
    polls, cpu_before = polls_answered(scene.port), time.process_time()
    async with LoopWatch() as watch:
        started_at = time.monotonic()
        await triggerer.start(scene.waits(int(waits)))
        start_took = time.monotonic() - started_at
        await asyncio.sleep(seconds - start_took)
    return {
        **watch.figures(),
        "seconds": seconds,
        "seconds_to_start": start_took,
        "polls": polls_answered(scene.port) - polls,
        "cpu_share": (time.process_time() - cpu_before) / seconds,
        "events": dict(triggerer.events()),
    }


async def memory(scene: Scene, *, waits: float, seconds: float, traced: float) -> Figures:
    """Measure how much more memory the process has than before the waits, after each has polled."""
    triggerer = Triggerer()
    # Whatever is loaded with the first wait is there in a triggerer that has none any more.
    await triggerer.start(scene.waits(1))
    await asyncio.sleep(scene.poke_interval + 1)
    await triggerer.stop()
    if traced:
        tracemalloc.start()
    before = _bytes_in_use(bool(traced))
    await triggerer.start(scene.waits(int(waits)))
    await asyncio.sleep(seconds)
    return {"kib_per_wait": (_bytes_in_use(bool(traced)) - before) / waits / 1024, "events": dict(triggerer.events())}


async def hold(scene: Scene, *, waits: float, seconds: float) -> Figures:
    """Wait for so long, for figures that are seen at the vendor's."""
    triggerer = Triggerer()
    await triggerer.start(scene.waits(int(waits)))
    await asyncio.sleep(seconds)
    return {"events": dict(triggerer.events())}


MEASUREMENTS: dict[str, Callable[..., Awaitable[Figures]]] = {"cpu": cpu, "lag": lag, "memory": memory, "hold": hold}


def _bytes_in_use(traced: bool) -> int:
    gc.collect()
    if traced:
        return tracemalloc.get_traced_memory()[0]
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss)


def _log_as_the_triggerer_does() -> None:
    # As JSON to the supervisor, which here reads nothing of it.
    from airflow.sdk.log import configure_logging

    nowhere = open(os.devnull, "wb", buffering=0)  # noqa: SIM115  # it lasts as long as the process
    configure_logging(json_output=True, output=nowhere, sending_to_supervisor=True)


async def _measure(task: dict[str, Any]) -> Figures:
    measure = MEASUREMENTS[task["measurement"]]
    return await measure(Scene(**task["scene"]), **task["arguments"])


def main() -> None:
    """Do the task that the command line tells, print the figures as JSON, and leave at once."""
    allow_many_connections()
    _log_as_the_triggerer_does()
    random.seed(0)
    # Waits that are under way are not ended one by one: nobody measures that.
    loop = asyncio.new_event_loop()
    figures = loop.run_until_complete(_measure(json.loads(sys.argv[1])))
    print(json.dumps(figures), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
