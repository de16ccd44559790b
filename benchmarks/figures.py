# SPDX-License-Identifier: Apache-2.0
"""
What is measured: each figure beside its peer, in one run, as ratios.

A figure is a function that takes how many seconds it may hold a measurement, or None for as long as it takes to be
sure, and returns plain JSON.
"""

from __future__ import annotations

import io
import re
import statistics
from collections import Counter
from collections.abc import Callable

from airflow_import_progress.sandbox import Sandbox
from benchmarks.contenders import Scene, import_id
from benchmarks.detection import requests_for_a_lag
from benchmarks.imports_page import imports_page
from benchmarks.operator_and_sensor import operator_and_sensor
from benchmarks.shared_limit import shared_limit, simulated_shared_limit
from benchmarks.triggerer import Figures, run_triggerer
from benchmarks.vendor import cheap_vendor
from benchmarks.without_workers import many_without_workers, without_workers

LUCCA_LIMIT = 50
#: Long enough for every one of 500 imports to be polled twice within Lucca's limit.
RATE_LIMIT_SECONDS = 1500.0
PEER_RATE_LIMIT_SECONDS = 60.0
TOLD = re.compile(r"(?P<method>\S+) (?P<path>\S+) (?P<status>\S+) .* ms\n")


def cpu_per_poll(seconds: float | None) -> Figures:
    """
    Measure the triggerer's CPU time per poll, together with the peer and the floor.

    Waits that all began in the same second are polled in bursts by whoever has no jitter, and a burst is cheaper per
    poll than as many polls spread over the interval. So both are measured.

    :param seconds: Seconds per measurement.
    """
    window, rounds = (seconds or 15.0), (1 if seconds else 3)
    settings = []
    with cheap_vendor() as port:
        for waits, poke_interval in ((300, 1.0), (2000, 5.0)):
            for spread_out in (False, True):
                runs = [
                    {
                        contender: run_triggerer(
                            "cpu",
                            Scene(contender=contender, port=port, poke_interval=poke_interval, spread_out=spread_out),
                            waits=waits,
                            warm_up=2 * poke_interval + 2,
                            seconds=max(window, 2 * poke_interval),
                        )
                        for contender in ("ours", "peer", "floor")
                    }
                    for _ in range(rounds)
                ]
                settings.append(
                    {
                        "waits": waits,
                        "poke_interval": poke_interval,
                        "begun": "spread" if spread_out else "together",
                        "peer_to_ours": _ratios(runs, "peer", "ours"),
                        "ours_to_floor": _ratios(runs, "ours", "floor"),
                        "runs": runs,
                    }
                )
    return {"settings": settings}


def _ratios(runs: list[dict[str, Figures]], above: str, below: str) -> Figures:
    ratios = [run[above]["cpu_ms_per_poll"] / run[below]["cpu_ms_per_poll"] for run in runs]
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def many_waits(seconds: float | None) -> Figures:
    """
    Measure ten thousand waits in one process, and how the cost grows up to them.

    :param seconds: Seconds per measurement.
    """
    with cheap_vendor() as port:
        return {
            "lag": {
                name: run_triggerer(
                    "lag",
                    Scene(contender=name.partition(",")[0], port=port, poke_interval=60.0, spread_out=False),
                    waits=10_000,
                    seconds=seconds or full,
                    collects="," not in name,
                )
                for name, full in (
                    ("ours", 300.0),
                    ("ours, no collector", 150.0),
                    ("idle", 150.0),
                    ("floor", 150.0),
                    ("peer", 150.0),
                )
            },
            "memory": {
                contender: {
                    name: run_triggerer(
                        "memory",
                        Scene(contender=contender, port=port, poke_interval=20.0),
                        waits=waits,
                        seconds=45.0,
                        traced=traced,
                    )["kib_per_wait"]
                    for name, traced in (("rss", 0), ("traced", 1))
                }
                for contender, waits in (("ours", 10_000), ("idle", 10_000), ("floor", 10_000), ("peer", 2_000))
            },
            "growth": [
                {
                    "waits": waits,
                    **run_triggerer(
                        "cpu",
                        Scene(contender="ours", port=port, poke_interval=10.0),
                        waits=waits,
                        warm_up=22.0,
                        seconds=seconds or 30.0,
                    ),
                }
                for waits in (100, 300, 1_000, 3_000, 10_000)
            ],
        }


def under_rate_limit(seconds: float | None) -> Figures:
    """
    Count what 500 waits ask of a Lucca tenant that enforces a limit, and how even their polls are.

    A short run has a limit that is as much higher as it is shorter.

    :param seconds: Seconds of the measurement.
    """
    ours_for = seconds or RATE_LIMIT_SECONDS
    limit = round(LUCCA_LIMIT * RATE_LIMIT_SECONDS / ours_for)
    return {
        "limit_per_minute": limit,
        "waits": 500,
        "poke_interval": 5.0,
        "ours": _under_rate_limit("ours", ours_for, limit),
        "peer": _under_rate_limit("peer", min(ours_for, PEER_RATE_LIMIT_SECONDS), limit),
    }


def _under_rate_limit(contender: str, seconds: float, limit: int) -> Figures:
    told = _Told()
    with Sandbox(rate_limits={"lucca": limit}, access_log=told) as sandbox:
        for number in range(500):
            sandbox.create_import("lucca", "leave", {"duration": 10 * seconds}, import_id(number))
        connection = sandbox.airflow_connection("lucca")
        if limit != LUCCA_LIMIT:
            connection["extra"] = {"requests_per_minute": limit}
        scene = Scene(
            contender=contender, port=sandbox.port, poke_interval=5.0, connection=connection, spread_out=False
        )
        held = run_triggerer("hold", scene, waits=500, seconds=seconds)
        counts = told.polls_by_path
    polls = sorted([*counts.values(), *[0] * (500 - len(counts))])
    return {
        "seconds": seconds,
        "requests": sum(told.statuses.values()),
        "answered_429": told.statuses["429"],
        "statuses": dict(told.statuses),
        "imports_polled": len(counts),
        "polls_per_import_least": polls[0],
        "polls_per_import_most": polls[-1],
        "events": held["events"],
    }


def one_workspace(seconds: float | None) -> Figures:
    """
    Count what 200 waits ask of one Rocket.Chat workspace, compared with one wait.

    :param seconds: Seconds per measurement.
    """
    figures: Figures = {"poke_interval": 10.0, "limit_per_minute": 10, "seconds": max(seconds or 120.0, 25.0)}
    for contender in ("ours", "peer"):
        for waits in (1, 200):
            told = _Told()
            with Sandbox(rate_limits=contender == "ours", access_log=told) as sandbox:
                sandbox.create_import("rocketchat", "csv", {"duration": 100_000})
                scene = Scene(
                    contender=contender,
                    port=sandbox.port,
                    poke_interval=10.0,
                    vendor="rocketchat",
                    connection=sandbox.airflow_connection("rocketchat"),
                    spread_out=False,
                )
                held = run_triggerer("hold", scene, waits=waits, seconds=figures["seconds"])
            figures[f"{contender}_{waits}"] = {
                "requests": sum(told.statuses.values()),
                "statuses": dict(told.statuses),
                "events": held["events"],
            }
    for contender in ("ours", "peer"):
        figures[f"{contender}_ratio"] = figures[f"{contender}_200"]["requests"] / figures[f"{contender}_1"]["requests"]
    return figures


class _Told(io.StringIO):
    """Count what the sandbox writes about each request."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: Counter[str] = Counter()
        self.polls_by_path: Counter[str] = Counter()

    def write(self, line: str) -> int:
        if match := TOLD.fullmatch(line):
            self.statuses[match["status"]] += 1
            if match["status"] in ("200", "404"):
                self.polls_by_path[match["path"]] += 1
        return len(line)


FIGURES: dict[str, Callable[[float | None], Figures]] = {
    "cpu_per_poll": cpu_per_poll,
    "many_waits": many_waits,
    "requests_for_a_lag": lambda _: requests_for_a_lag(),
    "under_rate_limit": under_rate_limit,
    "simulated_shared_limit": simulated_shared_limit,
    "shared_limit": shared_limit,
    "one_workspace": one_workspace,
    "without_workers": without_workers,
    "many_without_workers": many_without_workers,
    "operator_and_sensor": operator_and_sensor,
    "imports_page": imports_page,
}
