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
        self._under_way: dict[K, asyncio.Task[T]] = {}

    async def share(self, wanted: K, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """
        Return what comes of the attempt that is under way, or of a new one if there is none.

        :param wanted: What tells attempts apart.
        :param attempt: Begins a new attempt.
        """
        task = self._under_way.get(wanted)
        if task is None:
            self._under_way[wanted] = task = asyncio.create_task(attempt())
            task.add_done_callback(lambda done: self._forget(wanted, done))
        # Whoever is cancelled must not take the answer from the others.
        return await asyncio.shield(task)

    async def end(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, wanted: K, done: asyncio.Task[T]) -> None:
        del self._under_way[wanted]
        if not done.cancelled():
            # Looked at, lest asyncio complains of an error that nobody waits for any more.
            done.exception()
