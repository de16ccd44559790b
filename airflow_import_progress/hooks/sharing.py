# SPDX-License-Identifier: Apache-2.0
"""Let those who want the same at the same time on an event loop wait for one and the same attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Sharing(Generic[K, T]):
    """Keep what is under way, by what is wanted."""

    def __init__(self) -> None:
        # None comes of an attempt that was cancelled with the one who made it.
        self._under_way: dict[K, asyncio.Future[T | None]] = {}

    async def share(self, wanted: K, attempt: Callable[[], Coroutine[Any, Any, T]], *, alone: bool = False) -> T:
        """
        Return what comes of the attempt that is under way, or of a new one if there is none.

        :param wanted: What tells attempts apart.
        :param attempt: Begins a new attempt.
        :param alone: Whether others who want the same are not expected. Then a new attempt costs no task; if its
            maker is cancelled, those who came nevertheless make another one.
        """
        while (under_way := self._under_way.get(wanted)) is not None:
            # Whoever is cancelled must not take the answer from the others.
            if (result := await asyncio.shield(under_way)) is not None:
                return result
        if alone:
            return await self._attempt_alone(wanted, attempt)
        task: asyncio.Task[Any] = asyncio.create_task(attempt())
        self._under_way[wanted] = task
        task.add_done_callback(lambda done: self._forget(wanted, done))
        return await asyncio.shield(task)

    async def end(self) -> None:
        """Cancel what is under way."""
        under_way = list(self._under_way.values())
        for future in under_way:
            future.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _attempt_alone(self, wanted: K, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        under_way = self._under_way[wanted] = asyncio.get_running_loop().create_future()
        result: T | None = None
        try:
            result = await attempt()
        except Exception as error:
            under_way.set_exception(error)
            raise
        finally:
            self._forget(wanted, under_way)
            if not under_way.done():
                under_way.set_result(result)
        return result

    def _forget(self, wanted: K, under_way: asyncio.Future[T | None]) -> None:
        del self._under_way[wanted]
        if under_way.done() and not under_way.cancelled():
            # Looked at, lest asyncio complains of an error that nobody waits for any more.
            under_way.exception()
