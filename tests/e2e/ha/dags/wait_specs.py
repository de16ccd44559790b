# SPDX-License-Identifier: Apache-2.0
"""The forty waits: what each waits for, how, and how that ends. Read by Airflow and by the tests alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

Kind = Literal["leave", "user_location", "rocketchat", "zilliz", "leadsy"]
Mode = Literal["deferred", "worker_free", "rescheduled"]
Ending = Literal["good", "failing", "never"]

KINDS: tuple[Kind, ...] = ("leave", "user_location", "rocketchat", "zilliz", "leadsy")


@dataclass(frozen=True)
class Wait:
    """
    One wait.

    :param name: what tells it from the others.
    :param kind: what is imported.
    :param mode: how it is waited for.
    :param ending: how the import ends.
    :param is_held: whether the import runs until all disturbances are over; otherwise the wait ends amid them.
    :param timeout: how long the wait may last, in seconds.
    """

    name: str
    kind: Kind
    mode: Mode = "deferred"
    ending: Ending = "good"
    is_held: bool = True
    timeout: float = 900

    @property
    def task_id(self) -> str:
        """Return the task that waits."""
        return f"wait_{self.name}"

    @property
    def next_task_id(self) -> str:
        """Return the task behind it."""
        return f"next_{self.name}"


CLEARED = Wait("cleared", "leave")
MARKED_FAILED = Wait("marked_failed", "user_location", ending="never", is_held=False)
# Not poke: a worker would be taken all the time, and there would be no moment to stop the scheduler, see the drama.
RESCHEDULED = (
    Wait("rescheduled_good", "leave", "rescheduled"),
    Wait("rescheduled_failing", "leadsy", "rescheduled", "failing"),
)
# Long enough to begin, and short enough to be over amid the disturbances.
TOO_LONG = (
    Wait("never_deferred", "leave", "deferred", "never", is_held=False, timeout=120),
    Wait("never_worker_free", "zilliz", "worker_free", "never", is_held=False, timeout=150),
)


def _is_held(kind: Kind, ending: Ending, *, of_others: bool) -> bool:
    # A workspace of Rocket.Chat has one import at a time, so there is one that is good and one that is not.
    return ending == "good" if kind == "rocketchat" else of_others


def _waits() -> list[Wait]:
    waits = [CLEARED, MARKED_FAILED, *RESCHEDULED, *TOO_LONG]
    endings: tuple[Ending, ...] = ("good", "failing")
    for kind, ending in product(KINDS, endings):
        held, early = _is_held(kind, ending, of_others=True), _is_held(kind, ending, of_others=False)
        waits += [
            Wait(f"{kind}_{ending}", kind, "deferred", ending, held),
            Wait(f"{kind}_{ending}_early", kind, "deferred", ending, early),
            Wait(f"{kind}_{ending}_worker_free", kind, "worker_free", ending, held),
        ]
    for kind in ("leave", "user_location", "zilliz", "leadsy"):
        waits.append(Wait(f"{kind}_good_early_worker_free", kind, "worker_free", is_held=False))
    return waits


WAITS = _waits()
