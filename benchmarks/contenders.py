# SPDX-License-Identifier: Apache-2.0
"""Who waits: this provider's trigger, the HTTP provider's, and a loop of aiohttp that does nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_import_progress.hooks.lucca import LEAVE_IMPORTS_PATH
from airflow_import_progress.hooks.rocketchat import PROGRESS_PATH

CONN_ID = "benchmark"
PEER_CONN_ID = "benchmark_peer"
#: More than any figure needs, for those that are not about the limit.
NO_LIMIT = 100_000.0
#: Up to this much of the first gap is left to chance when a sensor hands a wait over to its trigger.
FIRST_GAP_CHANCE = 0.2


class Waiting(Protocol):
    """What a triggerer runs."""

    def run(self) -> AsyncIterator[Any]:
        """Wait, and yield an event at the end."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """
    Describe what is waited for.

    :param contender: Who waits: ``ours``, ``peer``, ``floor``, or ``idle``, which only sleeps.
    :param port: The vendor's port on loopback.
    :param poke_interval: Seconds between two polls.
    :param vendor: ``lucca`` or ``rocketchat``.
    :param connection: The vendor's Airflow connection; None: one that the cheap vendor takes.
    :param spread_out: Whether the first polls are spread over the whole interval, as they are in the long run, or
        come as they do when all the waits begin in the same second.
    """

    contender: str
    port: int
    poke_interval: float
    vendor: str = "lucca"
    connection: dict[str, Any] | None = None
    spread_out: bool = True

    def waits(self, count: int) -> Iterator[Waiting]:
        """
        Make so many waits, one after the other as a triggerer does.

        :param count: How many; each but those on Rocket.Chat is for another import.
        """
        self._make_connections()
        make: Callable[[int], Waiting] = {"ours": self._ours, "peer": self._peer, "floor": self._floor, "idle": _Idle}[
            self.contender
        ]
        return (make(number) for number in range(count))

    def _make_connections(self) -> None:
        connection = self.connection or {
            "conn_type": "lucca",
            "host": "127.0.0.1",
            "port": self.port,
            "schema": "http",
            "password": "key",
            "extra": {"requests_per_minute": NO_LIMIT},
        }
        peer = {"conn_type": "http", "host": "127.0.0.1", "port": self.port, "schema": "http"}
        os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(connection)
        os.environ[f"AIRFLOW_CONN_{PEER_CONN_ID.upper()}"] = json.dumps(peer)

    def _first_gap(self) -> float:
        chance = random.random()  # noqa: S311
        return self.poke_interval * (chance if self.spread_out else 1 - FIRST_GAP_CHANCE * chance)

    def _ours(self, number: int) -> Waiting:
        from airflow_import_progress.triggers.import_progress import ImportProgressTrigger

        import_class, fields, hook_class = {
            "lucca": ("lucca.LuccaLeaveImport", {"summary_id": import_id(number)}, "lucca.LuccaHook"),
            "rocketchat": ("rocketchat.RocketChatImport", {}, "rocketchat.RocketChatHook"),
        }[self.vendor]
        now = time.time()
        return ImportProgressTrigger(
            import_class=f"airflow_import_progress.hooks.{import_class}",
            import_fields=fields,
            hook_class=f"airflow_import_progress.hooks.{hook_class}",
            conn_id=CONN_ID,
            started_at=now,
            deadline=now + 24 * 3600,
            first_poll_at=now + self._first_gap(),
            poke_interval=self.poke_interval,
        )

    def _peer(self, number: int) -> Waiting:
        from airflow.providers.http.triggers.http import HttpSensorTrigger

        headers = {}
        if self.connection and self.vendor == "lucca":
            headers = {"Authorization": f"lucca application={self.connection['password']}"}
        elif self.connection:
            headers = {"X-User-Id": self.connection["login"], "X-Auth-Token": self.connection["password"]}
        # Of an import that nobody knows, the vendor says 404, which this trigger takes for "not yet".
        path = f"{LEAVE_IMPORTS_PATH}/none-{number}" if self.vendor == "lucca" else f"{PROGRESS_PATH}/none"
        peer = HttpSensorTrigger(
            endpoint=f"{path}/progress" if self.connection and self.vendor == "lucca" else path,
            http_conn_id=PEER_CONN_ID,
            headers=headers,
            poke_interval=self.poke_interval,
        )
        return _StartedLater(peer, self._first_gap()) if self.spread_out else peer

    def _floor(self, number: int) -> Waiting:
        url = f"http://127.0.0.1:{self.port}{LEAVE_IMPORTS_PATH}/{import_id(number)}/progress"
        return _Floor(url, self.poke_interval, self._first_gap())


def import_id(number: int) -> str:
    """
    Return the identifier of an import.

    :param number: Which one.
    """
    return f"00000000-0000-4000-8000-{number:012d}"


class _Floor:
    """The least that anything with aiohttp can do: one session for all, one request, no rules."""

    _session: Any = None

    def __init__(self, url: str, poke_interval: float, first_gap: float) -> None:
        self._url = url
        self._poke_interval = poke_interval
        self._first_gap = first_gap

    async def run(self) -> AsyncIterator[Any]:
        import aiohttp

        if _Floor._session is None:
            _Floor._session = aiohttp.ClientSession()
        await asyncio.sleep(self._first_gap)
        while True:
            async with _Floor._session.get(self._url) as answer:
                if json.loads(await answer.read()) == 100:
                    break
            await asyncio.sleep(self._poke_interval)
        yield True


class _Idle:
    """What Airflow and asyncio need for a wait that does nothing."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def run(self) -> AsyncIterator[Any]:
        await asyncio.sleep(24 * 3600)
        yield True


class _StartedLater:
    """A wait that the triggerer gets later than others."""

    def __init__(self, wait: Waiting, delay: float) -> None:
        self._wait = wait
        self._delay = delay

    async def run(self) -> AsyncIterator[Any]:
        await asyncio.sleep(self._delay)
        async for event in self._wait.run():
            yield event
