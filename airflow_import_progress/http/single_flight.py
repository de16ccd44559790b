# SPDX-License-Identifier: Apache-2.0
"""Let those who want the same at the same time on an event loop wait for one and the same attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Attempt(Generic[T]):
    """One attempt: its outcome, which is None if it was cancelled with the one who made it, and who waits for it."""

    outcome: asyncio.Future[T | None]
    waiting: int = 0


class SingleFlight(Generic[K, T]):
    """Keep what is under way, by what is wanted."""

    def __init__(self) -> None:
        self._under_way: dict[K, _Attempt[T]] = {}

    async def do(self, wanted: K, attempt: Callable[[], Coroutine[Any, Any, T]], *, alone: bool = False) -> T:
        """
        Return what comes of the attempt that is under way, or of a new one if there is none.

        :param wanted: What tells attempts apart.
        :param attempt: Begins a new attempt.
        :param alone: Whether others who want the same are not expected. Then a new attempt costs no task; if its
            maker is cancelled, those who came nevertheless make another one.
        """
        while (under_way := self._under_way.get(wanted)) is not None:
            if (result := await self._join(wanted, under_way)) is not None:
                return result
        if alone:
            return await self._attempt_alone(wanted, attempt)
        task: asyncio.Task[Any] = asyncio.create_task(attempt())
        under_way = self._under_way[wanted] = _Attempt(task)
        task.add_done_callback(lambda _: self._forget(wanted, under_way))
        result = await self._join(wanted, under_way)
        assert result is not None  # noqa: S101
        return result

    async def wait_until_idle(self, wanted: K) -> bool:
        """
        Wait until the attempt that is under way is over, however it ends, and return whether there was one.

        :param wanted: What tells attempts apart.
        """
        under_way = self._under_way.get(wanted)
        if under_way is None:
            return False
        await asyncio.wait([under_way.outcome])
        return True

    async def _join(self, wanted: K, under_way: _Attempt[T]) -> T | None:
        under_way.waiting += 1
        try:
            # Whoever is cancelled must not take the answer from the others.
            return await asyncio.shield(under_way.outcome)
        finally:
            under_way.waiting -= 1
            if not under_way.waiting and isinstance(under_way.outcome, asyncio.Task) and not under_way.outcome.done():
                # Nobody wants it any more, and nobody new may join what is cancelled.
                self._forget(wanted, under_way)
                under_way.outcome.cancel()

    async def _attempt_alone(self, wanted: K, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        outcome: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        under_way = self._under_way[wanted] = _Attempt(outcome)
        result: T | None = None
        try:
            result = await attempt()
        except Exception as error:
            if under_way.waiting:
                outcome.set_exception(error)
            raise
        finally:
            self._forget(wanted, under_way)
            if not outcome.done():
                outcome.set_result(result)
        return result

    def _forget(self, wanted: K, under_way: _Attempt[T]) -> None:
        if self._under_way.get(wanted) is under_way:
            del self._under_way[wanted]
        if under_way.outcome.done() and not under_way.outcome.cancelled():
            # Looked at, lest asyncio complains of an error that nobody waits for any more.
            under_way.outcome.exception()
