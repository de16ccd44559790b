# SPDX-License-Identifier: Apache-2.0
"""
The meaning of Leadsy's statuses.

Leadsy does not publish the statuses of an import. A usual name has its usual meaning, and users define the meaning of
all others with a ``status_map``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_import_progress.vendor import ImportState, Response, as_number, as_text, excerpt, known_or_excerpt

INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
MAX_SHOWN_LENGTH = 100

#: The most likely meaning of the usual names. Names in other languages are left to ``status_map``: Spanish "terminado"
#: is a success, English "terminated" is not.
STATES: Mapping[str, ImportState] = {
    **dict.fromkeys(
        ("pending", "queued", "waiting", "created", "uploaded", "on_hold", "scheduled"),
        ImportState.PENDING,
    ),
    **dict.fromkeys(
        ("processing", "in_progress", "running", "started", "importing", "validating"),
        ImportState.RUNNING,
    ),
    **dict.fromkeys(
        (
            "completed",
            "complete",
            "done",
            "finished",
            "success",
            "succeeded",
            "successful",
            "imported",
            "processed",
        ),
        ImportState.SUCCEEDED,
    ),
    **dict.fromkeys(
        ("failed", "failure", "error", "errored", "aborted", "rejected", "terminated", "invalid"),
        ImportState.FAILED,
    ),
    **dict.fromkeys(("cancelled", "canceled"), ImportState.CANCELLED),
}
#: The names of an end at which only a part of the records is imported.
PARTIAL_SUCCESSES = frozenset({"partially_completed", "completed_with_errors", "partial"})


@dataclass(frozen=True)
class Status:
    """
    The status of an import as Leadsy reports it.

    :param name: Its name, or None.
    :param number: Its integer, or None. Leadsy does not document the meaning of the integers.
    """

    name: str | None
    number: int | None

    @classmethod
    def of(cls, file: Mapping[str, Any]) -> Status:
        """Return the status in the ``import_file`` of Leadsy's answer."""
        number = as_number(file.get("status"))
        return cls(
            name=as_text(file.get("status_name")),
            number=int(number) if number is not None and number.is_integer() else None,
        )

    @property
    def keys(self) -> list[str]:
        """The keys of a status map that apply to it, in order of preference."""
        return [_key(str(value)) for value in (self.name, self.number) if value is not None]

    @property
    def is_partial_success(self) -> bool:
        """Whether only a part of the records is imported."""
        return self.name is not None and _key(self.name) in PARTIAL_SUCCESSES

    @property
    def usual_state(self) -> ImportState | None:
        """The usual meaning of its name, or None if it has none."""
        if self.is_partial_success:
            return ImportState.FAILED
        return STATES.get(_key(self.name)) if self.name else None

    def mapped_state(self, status_map: Mapping[str, str]) -> ImportState | None:
        """Return its meaning in a checked status map, or None if it has none."""
        return next((ImportState(status_map[key]) for key in self.keys if key in status_map), None)

    def shown(self, response: Response) -> str | int | None:
        """Return its name, else its integer, for display."""
        if self.name is None:
            return self.number
        is_known = self.usual_state is not None
        return known_or_excerpt(self.name, response, is_known=is_known, length=MAX_SHOWN_LENGTH)

    def describe(self, response: Response) -> str:
        """Return its name and its integer, for messages."""
        if self.name is None:
            return f"status {self.number} without a name"
        shown = f"status {self.shown(response)!r}"
        return shown if self.number is None else f"{shown} (number {self.number})"

    def map_entry(self, response: Response, state: ImportState) -> str:
        """Return the status map that gives it a meaning, in a form that is valid in Python and in JSON."""
        key = response.excerpt(self.keys[0], MAX_SHOWN_LENGTH)
        return json.dumps({key: state.value}, ensure_ascii=False)


def checked_status_map(value: object) -> dict[str, str]:
    """
    Return a status map with normalized names or decimal integers as keys, and names of states as values.

    :param value: The map as the user wrote it; None is an empty map.
    :raises ValueError: if it is not a status map; the message names ``status_map``.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004
            f"status_map must map names or integers of statuses to states, not {_shown(value)}"
        )
    result: dict[str, str] = {}
    for status, state in value.items():
        key, name = _checked_key(status), _checked_state(status, state)
        if result.setdefault(key, name) != name:
            raise ValueError(f"status_map has two states for the status {key!r}: {result[key]!r} and {name!r}")
    return result


def _checked_key(status: object) -> str:
    if isinstance(status, bool) or not isinstance(status, str | int) or not str(status).strip():
        raise ValueError(f"status_map has the key {_shown(status)}, which is neither a status's name nor an integer")
    return _key(str(status))


def _checked_state(status: object, state: object) -> str:
    try:
        return ImportState(str(state).strip().lower()).value
    except ValueError:
        raise ValueError(
            f"status_map has {_shown(state)} for the status {_shown(status)}, which is none of "
            f"{', '.join(map(repr, map(str, ImportState)))}"
        ) from None


def _key(status: str) -> str:
    text = status.strip()
    # Each integer has one spelling; everything else is a name.
    return str(int(text)) if INTEGER.fullmatch(text) else re.sub(r"[\s_-]+", "_", text).lower()


def _shown(value: object) -> str:
    return excerpt(repr(value), MAX_SHOWN_LENGTH)
