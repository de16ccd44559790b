# SPDX-License-Identifier: Apache-2.0
"""The forty waits: the import, the mode and the end of each. Both the DAG and the tests import them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

Kind = Literal["leave", "user_location", "rocketchat", "zilliz", "leadsy"]
Mode = Literal["deferred", "without_workers", "rescheduled"]
Ending = Literal["good", "failing", "never"]

KINDS: tuple[Kind, ...] = ("leave", "user_location", "rocketchat", "zilliz", "leadsy")


@dataclass(frozen=True)
class WaitSpec:
    """
    One wait.

    :param name: The unique name.
    :param kind: The kind of import.
    :param mode: The mode of the sensor.
    :param ending: How the import ends.
    :param is_held: Whether the import runs until all failures are over. If not, it ends during them.
    :param timeout: The sensor's timeout, in seconds.
    """

    name: str
    kind: Kind
    mode: Mode = "deferred"
    ending: Ending = "good"
    is_held: bool = True
    timeout: float = 900

    @property
    def task_id(self) -> str:
        """The id of the task that waits."""
        return f"wait_{self.name}"

    @property
    def next_task_id(self) -> str:
        """The id of the task after it."""
        return f"next_{self.name}"


CLEARED = WaitSpec("cleared", "leave")
MARKED_FAILED = WaitSpec("marked_failed", "user_location", ending="never", is_held=False)
# Not poke: it would always use a worker, and there would be no moment to stop the scheduler (see failure_scenario.py).
RESCHEDULED = (
    WaitSpec("rescheduled_good", "leave", "rescheduled"),
    WaitSpec("rescheduled_failing", "leadsy", "rescheduled", "failing"),
)
# Long enough to start, and short enough to end during the failures.
TOO_LONG = (
    WaitSpec("never_deferred", "leave", "deferred", "never", is_held=False, timeout=120),
    WaitSpec("never_without_workers", "zilliz", "without_workers", "never", is_held=False, timeout=150),
)


def _is_held(kind: Kind, ending: Ending, *, of_others: bool) -> bool:
    # A workspace of Rocket.Chat has one import at a time, so one workspace has a good one and the other a failing one.
    return ending == "good" if kind == "rocketchat" else of_others


def _waits() -> list[WaitSpec]:
    waits = [CLEARED, MARKED_FAILED, *RESCHEDULED, *TOO_LONG]
    endings: tuple[Ending, ...] = ("good", "failing")
    for kind, ending in product(KINDS, endings):
        held, early = _is_held(kind, ending, of_others=True), _is_held(kind, ending, of_others=False)
        waits += [
            WaitSpec(f"{kind}_{ending}", kind, "deferred", ending, held),
            WaitSpec(f"{kind}_{ending}_early", kind, "deferred", ending, early),
            WaitSpec(f"{kind}_{ending}_without_workers", kind, "without_workers", ending, held),
        ]
    for kind in ("leave", "user_location", "zilliz", "leadsy"):
        waits.append(WaitSpec(f"{kind}_good_early_without_workers", kind, "without_workers", is_held=False))
    return waits


WAITS = _waits()
