# SPDX-License-Identifier: Apache-2.0
"""The progress of an import, in one vocabulary for all vendors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, NoReturn

import pendulum

BAR_WIDTH = 20


class ImportState(StrEnum):
    """The state of an import, independent of the vendor's own words."""

    PENDING = "pending"
    RUNNING = "running"
    #: The vendor waits for a person or a client before it continues.
    ACTION_REQUIRED = "action_required"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the import is over, so that its state does not change any more."""
        return self in (ImportState.SUCCEEDED, ImportState.FAILED, ImportState.CANCELLED)


class NotForXCom:
    """
    Refuse to be the result of a task.

    Airflow would store such an object, but the next task could not read it: Airflow reads only its own classes and
    those in ``[core] allowed_deserialization_classes``.
    """

    #: The result that a task can return in its place.
    instead_in_xcom: ClassVar[str]

    def serialize(self) -> NoReturn:
        """
        Raise, because Airflow calls this to store a task's result.

        :raises ValueError: always; the message names a result that a task can return.
        """
        # Not a TypeError, because Airflow 2.11 replaces it by another one.
        raise ValueError(f"A task cannot return {type(self).__name__}. Return {self.instead_in_xcom}.")


@dataclass(frozen=True, kw_only=True)
class ImportProgress(NotForXCom):
    """
    Hold the progress of one import.

    It converts to JSON and back (:meth:`to_dict`, :meth:`from_dict`), because it is sent from the triggerer to the
    worker and becomes the XCom of the sensor.

    :param import_id: The vendor's identifier of the import.
    :param state: The state of the import.
    :param percent: 0 to 100; values beyond are clamped. None if the vendor does not report it.
    :param total: Number of records in the import, or None.
    :param processed: Number of records that were processed so far, or None.
    :param failed: Number of records that could not be imported, or None.
    :param imported: Number of records that were imported, or None. Where the numbers of processed and failed records
        are known, it is their difference unless it is given.
    :param vendor_status: The vendor's own word or number for the state, unchanged.
    :param message: The vendor's own error text, or None.
    :param started_at: When the import began, as the vendor reports it, with a time zone.
    :param finished_at: When the import ended, as the vendor reports it, with a time zone.
    :param warning: A warning about this answer for the log of a wait, such as an unknown status, or None.
    :param details: Small JSON-safe extras of one vendor, such as ``error_file``, the address of an error file.
    :raises ValueError: if a value is outside its range or of the wrong type.
    """

    instead_in_xcom: ClassVar[str] = "its to_dict(), which ImportProgress.from_dict() reads"

    import_id: str
    state: ImportState
    percent: float | None = None
    total: int | None = None
    processed: int | None = None
    failed: int | None = None
    imported: int | None = None
    vendor_status: str | int | float | None = None
    message: str | None = None
    started_at: pendulum.DateTime | None = None
    finished_at: pendulum.DateTime | None = None
    warning: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.state, ImportState):
            raise ValueError(f"state must be an ImportState, not {self.state!r}")  # noqa: TRY004
        if self.percent is not None:
            if isinstance(self.percent, bool) or not math.isfinite(self.percent):
                raise ValueError(f"percent must be a number from 0 to 100, not {self.percent!r}")
            object.__setattr__(self, "percent", min(100.0, max(0.0, float(self.percent))))
        for name in ("total", "processed", "failed", "imported"):
            if getattr(self, name) is not None:
                require_whole_number(name, getattr(self, name), 0)
        if self.imported is None and self.processed is not None and self.failed is not None:
            object.__setattr__(self, "imported", max(self.processed - self.failed, 0))
        for name in ("started_at", "finished_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} must have a time zone, not {moment!r}")

    def to_dict(self) -> dict[str, Any]:
        """
        Return the progress as plain JSON values.

        :return: One key for each field; times as ISO 8601 strings.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {
            "state": self.state.value,
            "started_at": _to_iso(self.started_at),
            "finished_at": _to_iso(self.finished_at),
            "details": dict(self.details),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImportProgress:
        """
        Return the progress that :meth:`to_dict` returned as plain JSON values.

        Unknown keys are ignored, so that an older worker can read the event of a newer triggerer.

        :param values: The values.
        :raises ValueError: if it is anything else.
        """
        try:
            known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            if not isinstance(known["import_id"], str):
                raise TypeError("import_id is not a string")  # noqa: TRY301
            return cls(
                **known
                | {
                    "state": ImportState(known["state"]),
                    "started_at": _from_iso(known.get("started_at")),
                    "finished_at": _from_iso(known.get("finished_at")),
                    "details": dict(known.get("details") or {}),
                }
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not an import's progress ({type(error).__name__}: {error})") from error

    def describe(self, seconds_left: float | None = None) -> str:
        """
        Return the progress as one line with a text progress bar.

        :param seconds_left: An estimate to add at the end, in seconds; None adds nothing.
        """
        # Rounded down, so that the bar is not full while the import is still running.
        filled = int((self.percent or 0) * BAR_WIDTH / 100)
        return f"[{'#' * filled:-<{BAR_WIDTH}}] {self.in_words(seconds_left)}"

    def in_words(self, seconds_left: float | None = None) -> str:
        """
        Return the progress as one line without a bar.

        :param seconds_left: An estimate to add at the end, in seconds; None adds nothing.
        """
        parts = [f"{'?' if self.percent is None else int(self.percent)} % · {self.state}"]
        if self.processed is not None and self.total is not None:
            parts.append(f"{self.processed:,} of {self.total:,} records")
        elif self.processed is not None:
            parts.append(f"{self.processed:,} records")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if seconds_left is not None:
            parts.append(f"{_in_words(seconds_left)} left")
        return " · ".join(parts)

    def __str__(self) -> str:
        return self.describe()


def require_whole_number(name: str, value: object, minimum: int) -> None:
    """
    Refuse a value that is not a whole number, or is too small.

    :param name: The name of the argument, for the message.
    :param value: The value.
    :param minimum: The smallest number that is allowed.
    :raises ValueError: if it is refused.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} must be a whole number from {minimum}, not {value!r}")


def _to_iso(moment: pendulum.DateTime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _from_iso(text: str | None) -> pendulum.DateTime | None:
    if text is None:
        return None
    moment = pendulum.parse(text)
    if not isinstance(moment, pendulum.DateTime):
        raise TypeError(f"{text!r} is not a point in time")
    return moment


def _in_words(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return f"about {minutes} minute{'s' if minutes > 1 else ''}"
    hours = round(seconds / 3600)
    return f"about {hours} hours" if hours < 48 else f"about {round(hours / 24)} days"
