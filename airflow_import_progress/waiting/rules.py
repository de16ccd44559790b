# SPDX-License-Identifier: Apache-2.0
"""The rules of a wait, which a trigger stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_import_progress.waiting.gate import Gate
from airflow_import_progress.waiting.schedule import MIN_POKE_INTERVAL, Schedule


@dataclass(frozen=True, kw_only=True)
class WaitRules:
    """
    Hold the arguments of a sensor that a wait keeps to, wherever it runs.

    :param poke_interval: Longest gap between two polls, in seconds.
    :param min_poke_interval: Shortest gap, in seconds, for an import that is about to end.
    :param exponential_backoff: Whether the gap doubles from poll to poll.
    :param max_wait: Longest gap that the doubling may reach, in seconds; None has no limit.
    :param max_consecutive_failures: How many polls in a row may fail before the wait gives up, from 1.
    :param silent_fail: Whether errors are logged and the wait continues until its deadline. An import that failed
        ends the wait all the same.
    :param gate: Decides whether the import passes.
    """

    poke_interval: float
    min_poke_interval: float = MIN_POKE_INTERVAL
    exponential_backoff: bool = False
    max_wait: float | None = None
    max_consecutive_failures: int = 10
    silent_fail: bool = False
    gate: Gate = field(default_factory=Gate)

    def to_dict(self) -> dict[str, Any]:
        """Return the rules as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WaitRules:
        """
        Return the rules that :meth:`to_dict` returned as plain JSON values.

        :param values: The values. A rule that this version does not have is an error, because to ignore it could let
            an import pass.
        :raises TypeError: if there is such a rule.
        :raises ValueError: if a value is outside its range.
        """
        rules = dict(values)
        if "gate" in rules:
            rules["gate"] = Gate(**rules["gate"])
        return cls(**rules)

    @property
    def schedule(self) -> Schedule:
        """The schedule of the polls."""
        return Schedule(
            poke_interval=self.poke_interval,
            min_poke_interval=self.min_poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait,
        )
