# SPDX-License-Identifier: Apache-2.0
"""Who waits: this provider's trigger, the HTTP provider's, a bare loop of aiohttp, and one that only sleeps."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import aiohttp
from airflow.providers.http.triggers.http import HttpSensorTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_import_progress.hooks.lucca_start import LEAVE_IMPORTS_PATH
from airflow_import_progress.hooks.rocketchat import PROGRESS_PATH
from airflow_import_progress.http.adaptive_rate import AdaptiveRate
from airflow_import_progress.triggers.import_progress import ImportProgressTrigger
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.state import WaitState

CONN_ID = "benchmark"
PEER_CONN_ID = "benchmark_peer"
#: More than any figure needs, for those that are not about the limit.
NO_LIMIT = 100_000.0
#: Up to this much of the first gap is left to chance when a sensor hands a wait over to its trigger.
FIRST_GAP_CHANCE = 0.2


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
    :param first_import: The number of the first import.
    :param adapts: Whether the rate of requests follows the vendor's refusals.
    """

    contender: str
    port: int
    poke_interval: float
    vendor: str = "lucca"
    connection: dict[str, Any] | None = None
    spread_out: bool = True
    first_import: int = 0
    adapts: bool = True

    def waits(self, count: int) -> Iterator[BaseTrigger]:
        """
        Make so many waits.

        :param count: How many; each but those on Rocket.Chat is for another import.
        """
        self._make_connections()
        make: dict[str, Callable[[int], BaseTrigger]] = {
            "ours": self._ours,
            "peer": self._peer,
            "floor": self._floor,
            "idle": Idle,
        }
        if not self.adapts:
            patch.object(AdaptiveRate, "on_refusal", return_value=False).start()
        return (make[self.contender](self.first_import + number) for number in range(count))

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

    def _ours(self, number: int) -> BaseTrigger:
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
            rules=WaitRules(poke_interval=self.poke_interval).to_dict(),
            state=WaitState(
                started_at=now, deadline=now + 24 * 3600, next_poll_at=now + self._first_gap(), polled_at=now
            ).to_dict(),
        )

    def _peer(self, number: int) -> BaseTrigger:
        headers = {}
        if self.connection and self.vendor == "lucca":
            headers = {"Authorization": f"lucca application={self.connection['password']}"}
        elif self.connection:
            headers = {"X-User-Id": self.connection["login"], "X-Auth-Token": self.connection["password"]}
        # Of an import that nobody knows, the vendor says 404, which this trigger takes for "not yet".
        path = f"{LEAVE_IMPORTS_PATH}/none-{number}" if self.vendor == "lucca" else f"{PROGRESS_PATH}/none"
        return Peer(
            endpoint=f"{path}/progress" if self.connection and self.vendor == "lucca" else path,
            http_conn_id=PEER_CONN_ID,
            headers=headers,
            poke_interval=self.poke_interval,
            first_gap=self._first_gap() if self.spread_out else 0.0,
        )

    def _floor(self, number: int) -> BaseTrigger:
        url = f"http://127.0.0.1:{self.port}{LEAVE_IMPORTS_PATH}/{import_id(number)}/progress"
        return Floor(url, self.poke_interval, self._first_gap())


def import_id(number: int) -> str:
    """
    Return the identifier of an import.

    :param number: Which one.
    """
    return f"00000000-0000-4000-8000-{number:012d}"


class Peer(HttpSensorTrigger):
    """The HTTP provider's trigger, begun later than it is given to the triggerer."""

    def __init__(self, *, first_gap: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.first_gap = first_gap

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        _, arguments = super().serialize()
        return f"{__name__}.Peer", {**arguments, "first_gap": self.first_gap}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        await asyncio.sleep(self.first_gap)
        async for event in super().run():
            yield event


class Floor(BaseTrigger):
    """The least that anything with aiohttp can do: one session for all, one request, no rules."""

    session: aiohttp.ClientSession | None = None

    def __init__(self, url: str, poke_interval: float, first_gap: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.url = url
        self.poke_interval = poke_interval
        self.first_gap = first_gap

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        arguments = {"url": self.url, "poke_interval": self.poke_interval, "first_gap": self.first_gap}
        return f"{__name__}.Floor", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        session = Floor.session = Floor.session or aiohttp.ClientSession()
        await asyncio.sleep(self.first_gap)
        while True:
            async with session.get(self.url) as answer:
                if json.loads(await answer.read()) == 100:
                    break
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(True)


class Idle(BaseTrigger):
    """What Airflow and asyncio need for a wait that does nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number = number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return f"{__name__}.Idle", {"number": self.number}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        await asyncio.sleep(24 * 3600)
        yield TriggerEvent(True)
