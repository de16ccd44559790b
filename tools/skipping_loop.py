# SPDX-License-Identifier: Apache-2.0
"""An event loop whose time passes only while everybody sleeps, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _SkippingSelector(selectors.DefaultSelector):
    loop: SkippingLoop

    def select(self, timeout: float | None = None) -> Any:
        self.loop.now += timeout or 0.0
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    """The event loop. It is for code that waits for nothing but its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _SkippingSelector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Return the time of the loop, in seconds."""
        # Never quite the same: what waits for a moment by rounded numbers would wait for ever.
        self.now += 1e-7
        return self.now
