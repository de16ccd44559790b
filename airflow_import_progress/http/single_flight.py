# SPDX-License-Identifier: Apache-2.0
"""Run one attempt per key at a time on an event loop, and share its result (single flight)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Attempt(Generic[T]):
    """An attempt and how many callers wait for it. Its outcome is None if it was cancelled with its caller."""

    outcome: asyncio.Future[T | None]
    waiting: int = 0


class SingleFlight(Generic[K, T]):
    """Run attempts, one per key at a time."""

    def __init__(self) -> None:
        self._under_way: dict[K, _Attempt[T]] = {}

    async def do(
        self,
        key: K,
        attempt: Callable[[], Coroutine[Any, Any, T]],
        *,
        alone: bool = False,
        until_read: bool = False,
    ) -> T:
        """
        Return the result of the attempt that is under way, or of a new one.

        :param key: The key of the attempt.
        :param attempt: Begins a new attempt.
        :param alone: Whether no other caller is expected. A new attempt then runs without a task of its own, which is
            cheaper. If its caller is cancelled, other callers make a new attempt.
        :param until_read: Whether the attempt is shared until a caller has read its result, for a result that the
            callers keep. By default it is not shared any more as soon as it is over.
        """
        while (under_way := self._under_way.get(key)) is not None:
            if (result := await self._join(key, under_way)) is not None:
                return result
        if alone:
            return await self._attempt_alone(key, attempt)
        task: asyncio.Task[Any] = asyncio.create_task(self._attempt_for_all(key, attempt, until_read))
        task.add_done_callback(_mark_as_retrieved)
        under_way = self._under_way[key] = _Attempt(task)
        result = await self._join(key, under_way)
        assert result is not None  # noqa: S101
        return result

    async def wait_until_idle(self, key: K) -> bool:
        """Wait until no attempt is under way, and return whether there was one."""
        under_way = self._under_way.get(key)
        if under_way is None:
            return False
        await asyncio.wait([under_way.outcome])
        return True

    async def _join(self, key: K, under_way: _Attempt[T]) -> T | None:
        under_way.waiting += 1
        try:
            # Shielded, because the cancellation of one caller must not cancel the attempt of the others.
            return await asyncio.shield(under_way.outcome)
        finally:
            under_way.waiting -= 1
            if under_way.outcome.done():
                self._forget(key, under_way)
            elif not under_way.waiting and isinstance(under_way.outcome, asyncio.Task):
                # The last caller is gone. New callers must not join an attempt that is cancelled.
                self._forget(key, under_way)
                under_way.outcome.cancel()

    async def _attempt_for_all(self, key: K, attempt: Callable[[], Coroutine[Any, Any, T]], until_read: bool) -> T:
        under_way = self._under_way.get(key)
        try:
            return await attempt()
        finally:
            # Not in a callback of the task, which would run later: meanwhile a caller could join that must not.
            if under_way is not None and not until_read:
                self._forget(key, under_way)

    async def _attempt_alone(self, key: K, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        outcome: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        under_way = self._under_way[key] = _Attempt(outcome)
        result: T | None = None
        try:
            result = await attempt()
        except Exception as error:
            if under_way.waiting:
                outcome.set_exception(error)
                _mark_as_retrieved(outcome)
            raise
        finally:
            self._forget(key, under_way)
            if not outcome.done():
                outcome.set_result(result)
        return result

    def _forget(self, key: K, under_way: _Attempt[T]) -> None:
        if self._under_way.get(key) is under_way:
            del self._under_way[key]


def _mark_as_retrieved(outcome: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a future, because asyncio logs one that is never retrieved."""
    if not outcome.cancelled():
        outcome.exception()
