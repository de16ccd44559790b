# SPDX-License-Identifier: Apache-2.0
"""The arguments of triggers, written as one flat mapping."""

from __future__ import annotations

from typing import Any

RULES = {
    "poke_interval",
    "min_poke_interval",
    "exponential_backoff",
    "max_wait",
    "max_consecutive_failures",
    "silent_fail",
    "gate",
}
STATE = {"started_at", "deadline", "next_poll_at", "polled_at", "failures", "last_warning", "last_observation"}


def trigger_arguments(**flat: Any) -> dict[str, Any]:
    """Return the arguments of a trigger, with those of the rules and of the state where they belong."""
    rules = {name: value for name, value in flat.items() if name in RULES}
    state = {name: value for name, value in flat.items() if name in STATE}
    rest = {name: value for name, value in flat.items() if name not in RULES | STATE}
    return {**rest, "rules": rules, "state": state}
