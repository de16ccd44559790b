# SPDX-License-Identifier: Apache-2.0
"""
How several triggerer processes and a foreign client share the limit of one Lucca tenant.

Two figures: a simulation with the package's own waits, pollers and rate limits, on an event loop whose time passes only
while everybody sleeps, in which each process is a connection of its own; and triggerer processes at the sandbox, in
real time. The tenant counts requests in the same way in both.

Beside the rate that adapts is the fixed one: undivided, and divided by hand among the processes, less the six requests
a minute that one would leave to others.
"""

from __future__ import annotations

import asyncio
import io
import logging
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import requests
import structlog

from airflow_import_progress import clock
from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.hooks.lucca_start import LEAVE_IMPORTS_PATH
from airflow_import_progress.http import connection_cache, sessions
from airflow_import_progress.http.adaptive_rate import AdaptiveRate
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Request, Response
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sandbox.rates import RateLimiter
from airflow_import_progress.triggers.import_progress import ImportProgressTrigger
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.state import WaitState
from benchmarks.contenders import Scene, import_id
from benchmarks.triggerer import run_triggerer
from tools.skipping_loop import SkippingLoop

LIMIT = 50
WAITS = 200
POKE_INTERVAL = 60.0
PROCESSES = (1, 2, 4)
#: Requests a minute of the foreign client, one after the other.
FOREIGN = (10, 30)
#: How long each lasts, simulated and in real time, and how long the processes have to settle, in seconds.
SIMULATED_PHASE = 4 * 3600.0
PHASE = 1200.0
SETTLING = 300.0
#: Requests a minute that a limit divided by hand leaves to others.
LEFT_TO_OTHERS = 6
RUNS = 3
RESPONSE_TIME = 0.2
#: How even the foreign client is, as a share of its gap.
UNEVENNESS = 0.1

#: The progress of a running import, in percent.
RUNNING = b"42"

LIMITS = ("adapts", "fixed", "divided")
ACCESS = re.compile(r"\S+ \S*/(?P<summary_id>[-\w]+)/progress (?P<status>\d+) .*\n")
FOREIGN_CLIENT = "foreign"
FOREIGN_IMPORT = 999_999


class _Clock(clock.Clock):
    def time(self) -> float:
        return self.loop_time()


@dataclass
class _Tenant:
    """Count requests as the sandbox does, and keep who sent them, when, and whether they were answered."""

    limiter: RateLimiter = field(default_factory=RateLimiter)
    requests: list[tuple[float, str, bool]] = field(default_factory=list)
    polls: Counter[str] = field(default_factory=Counter)

    def take(self, client: str, summary_id: str = "") -> int | None:
        """Return after how many seconds a request may be sent again, or None if it is answered."""
        now = asyncio.get_running_loop().time()
        status = self.limiter.take("lucca", "", LIMIT, now)
        self.keep(now, client, summary_id, is_answered=not status.exceeded)
        return math.ceil(status.seconds_left) if status.exceeded else None

    def keep(self, at: float, client: str, summary_id: str, *, is_answered: bool) -> None:
        """Keep a request."""
        self.requests.append((at, client, is_answered))
        if is_answered and client != FOREIGN_CLIENT:
            self.polls[f"{client} {summary_id}"] += 1

    async def asend(self, _: object, connection: VendorConnection, request: Request) -> Response:
        await asyncio.sleep(RESPONSE_TIME / 2)
        seconds = self.take(connection.conn_id, request.path)
        await asyncio.sleep(RESPONSE_TIME / 2)
        line = f"{request.method} {request.path}"
        if seconds is not None:
            return Response(status=429, headers={"retry-after": str(seconds)}, body=b"{}", request_line=line)
        return Response(status=200, headers={}, body=RUNNING, request_line=line)


class _Session:
    async def close(self) -> None: ...

    async def __aenter__(self) -> _Session:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def simulated_shared_limit(seconds: float | None) -> dict[str, Any]:
    """
    Return the simulated figures of each kind of limit, number of processes and rate of the foreign client.

    :param seconds: How long the foreign client keeps each rate; None: four hours. The worst of several runs counts.
    """
    # Nobody reads what hundreds of waits log.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    phase = max(seconds or SIMULATED_PHASE, 2 * SETTLING)

    def measure(limit: str, processes: int) -> dict[int, dict[str, float]]:
        # Only the rate that adapts leaves much to chance.
        runs = [_simulate(processes, limit, phase, number) for number in range(RUNS if limit == "adapts" else 1)]
        return {foreign: _worst([run[foreign] for run in runs]) for foreign in FOREIGN}

    return _all_settings(phase, ((limit, processes, measure(limit, processes)) for limit, processes in _settings()))


def shared_limit(seconds: float | None) -> dict[str, Any]:
    """
    Return the same figures of triggerer processes at the sandbox.

    All settings are measured at the same time, each at a sandbox of its own: a minute has few requests.

    :param seconds: How long the foreign client keeps each rate; None: 20 minutes.
    """
    phase = max(seconds or PHASE, 2 * SETTLING)
    with ThreadPoolExecutor(len(_settings())) as pool:
        measured = pool.map(lambda setting: _measure(setting[0], setting[1], phase), _settings())
        return _all_settings(phase, ((*setting, run) for setting, run in zip(_settings(), measured, strict=True)))


def _settings() -> list[tuple[str, int]]:
    return [(limit, processes) for limit in LIMITS for processes in PROCESSES]


def _all_settings(phase: float, runs: Iterable[tuple[str, int, dict[int, dict[str, float]]]]) -> dict[str, Any]:
    return {
        "limit_per_minute": LIMIT,
        "waits_per_process": WAITS,
        "poke_interval": POKE_INTERVAL,
        "phase_seconds": phase,
        "settings": [
            {"limit": limit, "processes": processes, "foreign": foreign, **figures}
            for limit, processes, run in runs
            for foreign, figures in run.items()
        ],
    }


def _worst(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: (min if name in ("used", "polls_least") else max)(run[name] for run in runs) for name in runs[0]}


def _requests_per_minute(limit: str, processes: int) -> float:
    return (LIMIT - LEFT_TO_OTHERS) / processes if limit == "divided" else LIMIT


def _gap(requests_per_minute: float) -> float:
    return 60 / requests_per_minute * (1 + UNEVENNESS * random.uniform(-1, 1))  # noqa: S311


def _simulate(processes: int, limit: str, phase: float, number: int) -> dict[int, dict[str, float]]:
    random.seed(number)
    tenant = _Tenant()

    async def look_up(cache: connection_cache.ConnectionCache) -> None:
        cache._connection = VendorConnection(
            conn_id=cache._conn_id,
            base_url="https://tenant.example",
            password="key",  # noqa: S106
            requests_per_minute=_requests_per_minute(limit, processes),
        )
        cache._looked_up_at = float("inf")

    async def new_session(_: VendorConnection) -> _Session:
        return _Session()

    with ExitStack() as stack:
        stack.enter_context(patch.object(clock, "current", _Clock()))
        stack.enter_context(patch.object(sessions, "asend", tenant.asend))
        stack.enter_context(patch.object(sessions, "new_async_session", new_session))
        stack.enter_context(patch.object(connection_cache.ConnectionCache, "_alook_up", look_up))
        if limit != "adapts":
            stack.enter_context(patch.object(AdaptiveRate, "on_refusal", return_value=False))
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            ended = runner.run(_hold(tenant, processes, phase))
    return _figures(tenant, tenant.requests[0][0], phase, processes, ended)


async def _hold(tenant: _Tenant, processes: int, phase: float) -> int:
    """Wait until the phases are over, and return how many waits have ended."""
    waits = [
        asyncio.create_task(_wait(f"lucca_{process}", number))
        for process in range(processes)
        for number in range(WAITS)
    ]
    for requests_per_minute in FOREIGN:
        end = asyncio.get_running_loop().time() + phase
        while asyncio.get_running_loop().time() < end:
            tenant.take(FOREIGN_CLIENT)
            await asyncio.sleep(_gap(requests_per_minute))
    ended = sum(wait.done() for wait in waits)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return ended


async def _wait(conn_id: str, number: int) -> None:
    now = asyncio.get_running_loop().time()
    trigger = ImportProgressTrigger(
        import_class="airflow_import_progress.hooks.lucca.LuccaLeaveImport",
        import_fields={"summary_id": f"import-{number}"},
        hook_class=f"{LuccaHook.__module__}.{LuccaHook.__qualname__}",
        conn_id=conn_id,
        rules=WaitRules(poke_interval=POKE_INTERVAL).to_dict(),
        state=WaitState(
            started_at=now,
            deadline=now + 1e9,
            next_poll_at=now + POKE_INTERVAL * random.random(),  # noqa: S311
            polled_at=now,
        ).to_dict(),
    )
    async for _ in trigger.run():
        return


class _AccessLog(io.StringIO):
    """Keep the requests that the sandbox logs."""

    def __init__(self, tenant: _Tenant) -> None:
        super().__init__()
        self._tenant = tenant

    def write(self, line: str) -> int:
        if match := ACCESS.fullmatch(line):
            self._tenant.keep(time.monotonic(), *_client(match["summary_id"]), is_answered=match["status"] == "200")
        return len(line)


def _client(summary_id: str) -> tuple[str, str]:
    """Return the name of the client that polls an import, and that of the import."""
    number = int(summary_id.rpartition("-")[2])
    return FOREIGN_CLIENT if number == FOREIGN_IMPORT else f"lucca_{number // WAITS}", summary_id


def _measure(limit: str, processes: int, phase: float) -> dict[int, dict[str, float]]:
    tenant = _Tenant()
    with Sandbox(rate_limits={"lucca": LIMIT}, access_log=_AccessLog(tenant)) as sandbox, ExitStack() as stack:
        for number in [*range(processes * WAITS), FOREIGN_IMPORT]:
            sandbox.create_import("lucca", "leave", {"duration": 100 * phase}, import_id(number))
        connection = {
            **sandbox.airflow_connection("lucca"),
            "extra": {"requests_per_minute": _requests_per_minute(limit, processes)},
        }
        pool = stack.enter_context(ThreadPoolExecutor(processes))
        start = time.monotonic()
        held = [
            pool.submit(
                run_triggerer,
                "hold",
                Scene(
                    contender="ours",
                    port=sandbox.port,
                    poke_interval=POKE_INTERVAL,
                    connection=connection,
                    first_import=process * WAITS,
                    adapts=limit == "adapts",
                ),
                waits=WAITS,
                seconds=len(FOREIGN) * phase,
            )
            for process in range(processes)
        ]
        _be_the_foreign_client(connection, phase)
        ended = sum(sum(process.result()["events"].values()) for process in held)
    return _figures(tenant, start, phase, processes, ended)


def _be_the_foreign_client(connection: dict[str, Any], phase: float) -> None:
    url = f"http://{connection['host']}:{connection['port']}{LEAVE_IMPORTS_PATH}/{import_id(FOREIGN_IMPORT)}/progress"
    headers = {"Authorization": f"lucca application={connection['password']}"}
    for requests_per_minute in FOREIGN:
        end = time.monotonic() + phase
        while time.monotonic() < end:
            requests.get(url, headers=headers, timeout=10)
            time.sleep(_gap(requests_per_minute))


def _figures(tenant: _Tenant, start: float, phase: float, processes: int, ended: int) -> dict[int, dict[str, float]]:
    figures = {}
    for index, foreign in enumerate(FOREIGN):
        begin, end = start + index * phase + SETTLING, start + (index + 1) * phase
        sent = [(client, is_answered) for at, client, is_answered in tenant.requests if begin <= at < end]
        answered = Counter(client for client, is_answered in sent if is_answered)
        shares = [answered[f"lucca_{process}"] for process in range(processes)]
        figures[foreign] = {
            "answered_429": 1 - sum(answered.values()) / len(sent),
            "used": sum(answered.values()) / (LIMIT * (end - begin) / 60),
            "largest_to_smallest_share": max(shares) / max(1, min(shares)),
            # Of both phases: a wait comes up once in up to forty minutes.
            "polls_least": min(tenant.polls.values()) if len(tenant.polls) == processes * WAITS else 0,
            "ended": ended,
        }
    return figures
