# SPDX-License-Identifier: Apache-2.0
"""The event with which a wait ends in the triggerer: how a trigger writes it, and how a worker reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_import_progress.compat import AirflowSensorTimeout
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.progress import ImportProgress

#: The exceptions that end a wait, by the names that an event contains.
WAIT_ERRORS: Mapping[str, type[Exception]] = {
    error.__name__: error
    for error in (
        AirflowSensorTimeout,
        ImportActionRequiredError,
        ImportFailedError,
        ImportPollError,
        ImportProgressError,
        ImportProtocolError,
        ImportRequestError,
    )
}


def success_event(progress: ImportProgress) -> dict[str, Any]:
    """Return the event of an import that passes."""
    return {"status": "success", "progress": progress.to_dict()}


def error_event(error: Exception) -> dict[str, Any]:
    """
    Return the event of a wait that ended with an error.

    :param error: The error. The event contains the nearest class that a worker can raise, because a vendor's module
        may have subclasses.
    """
    names = [cls.__name__ for cls in type(error).__mro__]
    name = next((name for name in names if name in WAIT_ERRORS), names[0])
    return {"status": "error", "error": name, "message": str(error)}


def not_started_event(error: Exception) -> dict[str, Any]:
    """Return the event of a wait that could not begin in the triggerer, and begins on a worker instead."""
    return {"status": "not_started", "reason": f"{type(error).__name__}: {error}"}


def reason_not_started(event: Any) -> str | None:
    """Return the reason why a wait could not begin in the triggerer, or None if it did."""
    is_not_started = isinstance(event, Mapping) and event.get("status") == "not_started"
    return str(event.get("reason")) if is_not_started else None


def progress_or_raise(event: Any, subject: str) -> ImportProgress:
    """
    Return the progress in the event of an import that passes, or raise the error in it.

    :param event: The event.
    :param subject: The import, for messages.
    :raises ValueError: if the event is neither; TypeError and KeyError mean the same.
    """
    if isinstance(event, Mapping) and event.get("status") == "error":
        name, message = str(event.get("error")), str(event.get("message"))
        if name in WAIT_ERRORS:
            raise WAIT_ERRORS[name](message)
        raise ImportProgressError(
            f"{subject}: the wait ended in the triggerer with {name}: {message}. Whether the import succeeded is "
            f"unknown: clear this task to wait again."
        )
    if event["status"] != "success":
        raise ValueError(f"unknown status {event['status']!r}")
    return ImportProgress.from_dict(event["progress"])
