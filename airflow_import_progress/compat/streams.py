# SPDX-License-Identifier: Apache-2.0
"""The streams of events that triggers share since Airflow 3.3."""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

E = TypeVar("E")


def shares_streams() -> bool:
    """Return whether triggers can share a stream that reports when their events are stored: since Airflow 3.3."""
    try:
        return _streams().SharedStreamProducer is not None
    except (ImportError, AttributeError):
        return False


def stream_producer(
    open_stream: Callable[[], AsyncGenerator[E, None]], on_stored: Callable[[E], Awaitable[None]]
) -> Any:
    """
    Return the producer of a shared stream.

    :param open_stream: Opens the stream.
    :param on_stored: Called with an element once Airflow has stored the events that all triggers made of it.
    """

    class Producer(_streams().SharedStreamProducer):  # type: ignore[misc]
        async def open_stream(self) -> AsyncGenerator[tuple[E, E], None]:
            async with aclosing(open_stream()) as stream:
                async for element in stream:
                    yield element, element

        async def advance(self, batch: Sequence[Any]) -> None:
            for element, outcome in batch:
                if outcome.is_clean:
                    await on_stored(element)

    return Producer()


def _streams() -> Any:
    return importlib.import_module("airflow.triggers.shared_stream")
