# SPDX-License-Identifier: Apache-2.0
"""Waits as the JSON values of the page's API."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from airflow_import_progress.plugin.status import UNDER_WAY, WaitStatus
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.waiting.published import PublishedProgress, PublishedStart

#: Maximum length of a text, and the largest integer that JavaScript represents exactly.
MAX_TEXT_LENGTH, MAX_COUNT = 2000, 2**53
#: Maximum number of files of an import.
MAX_FILES = 20


def serialize_wait(row: Any) -> dict[str, Any] | None:
    """
    Return a wait without its history, or None if the XCom was not written by a wait.

    :param row: A row of :func:`~airflow_import_progress.plugin.queries.waits_query`.
    """
    published = _parse(row.value, with_history=False)
    if published is None:
        return None
    # As in the status, ignore the polls of an earlier try, because this one may wait for another import.
    is_of_this_try = row.task_state is not None and published.try_number == row.try_number
    polls = vars(published) if is_of_this_try else {}
    progress = ImportProgress.from_dict(polls["progress"]) if polls.get("progress") is not None else None
    status = WaitStatus(row.status)
    return {
        "dag_id": row.dag_id,
        "run_id": row.run_id,
        "task_id": row.task_id,
        "map_index": row.map_index,
        "task_state": row.task_state,
        "try_number": row.try_number,
        "state": status,
        "vendor": _text(published.vendor),
        "conn_id": _text(published.conn_id),
        "label": _text(published.label),
        "import_id": _text(published.import_id),
        "import_url": _web_address(published.import_url),
        "ended_at": row.end_date.timestamp() if row.end_date and status not in UNDER_WAY else None,
        "waiting_since": _seconds(row.waiting_since),
        "took": _duration(row.took),
        "start": _serialize_start(polls.get("start")),
        **_serialize_progress(progress),
        **_serialize_polls(polls, progress, status),
    }


def serialize_duration(row: Any) -> dict[str, Any]:
    """
    Return the duration of a wait.

    :param row: A row of :func:`~airflow_import_progress.plugin.queries.durations_query`.
    """
    return {
        "run_id": row.run_id,
        "state": row.status,
        "took": _duration(row.took),
        "ended_at": row.ended_at.timestamp(),
    }


def serialize_history(row: Any) -> Sequence[Sequence[float]]:
    """
    Return the percentages that the vendor reported in this try, as pairs of time and percent, oldest first.

    :param row: A row of :func:`~airflow_import_progress.plugin.queries.waits_query`.
    """
    published = _parse(row.value, with_history=True)
    if published is None or published.try_number != row.try_number:
        return []
    return [point for point in published.history if all(map(math.isfinite, point))]


def _parse(value: str, *, with_history: bool) -> PublishedProgress | None:
    try:
        values = json.loads(value)
        if isinstance(values, dict) and not with_history:
            values = values | {"history": ()}
        return PublishedProgress.from_dict(values)
    # Deeply nested values raise RecursionError, infinite numbers OverflowError.
    except (ValueError, RecursionError, OverflowError):
        return None


def _serialize_progress(progress: ImportProgress | None) -> dict[str, Any]:
    values = {} if progress is None else vars(progress)
    return {
        "import_state": values.get("state"),
        "percent": values.get("percent"),
        "total": _count(values.get("total")),
        "processed": _count(values.get("processed")),
        "failed": _count(values.get("failed")),
        "vendor_status": _text(values.get("vendor_status")),
        "message": _text(values.get("message")),
        "warning": _text(values.get("warning")),
        "vendor_started_at": _moment(values.get("started_at")),
        "vendor_finished_at": _moment(values.get("finished_at")),
        **_serialize_details(values.get("details", {})),
    }


def _serialize_details(details: Mapping[str, Any]) -> dict[str, Any]:
    files = details.get("files")
    names = ("name", "state", "imported_rows", "total_rows", "error")
    return {
        "error_file": _web_address(details.get("error_file")),
        "files": [
            {name: _text_or_count(file.get(name)) for name in names}
            for file in (files[:MAX_FILES] if isinstance(files, list) else ())
            if isinstance(file, dict)
        ],
    }


def _serialize_start(start: PublishedStart | None) -> dict[str, Any] | None:
    if start is None:
        return None
    return {"state": start.state, "sent_at": _number(start.sent_at), "content": _text(start.content)}


def _serialize_polls(polls: Mapping[str, Any], progress: ImportProgress | None, status: WaitStatus) -> dict[str, Any]:
    pace = _number(polls.get("percent_per_minute"))
    total = _count(progress.total) if progress else None
    # An operator takes the step itself for which its import waits, so that the advice to take it would be wrong.
    takes_step = polls.get("start") is not None and status is WaitStatus.NEEDS_ACTION
    return {
        "deadline": _number(polls.get("deadline")),
        "polled_at": _number(polls.get("polled_at")),
        "progress_at": _number(polls.get("progress_at")),
        "percent_per_minute": pace,
        "records_per_minute": _number(pace * total / 100) if pace is not None and total else None,
        # Omit the expected end if the wait is over or between two tries.
        "ends_at": _number(polls.get("ends_at")) if status in UNDER_WAY - {WaitStatus.RETRYING} else None,
        "error": None if takes_step else _text(polls.get("error")),
        "failures": _count(polls.get("failures")) or 0,
    }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    # Replace lone surrogates, which UTF-8 cannot encode.
    return str(value)[:MAX_TEXT_LENGTH].encode("utf-8", "replace").decode()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _seconds(value: Any) -> float | None:
    # PostgreSQL returns a Decimal.
    return None if value is None else float(value)


def _duration(value: Any) -> float | None:
    # A clock may have been set back. SQLite's times are less exact than they look.
    seconds = _seconds(value)
    return None if seconds is None else max(0.0, round(seconds, 2))


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
    return value if is_count else None


def _text_or_count(value: Any) -> str | int | None:
    count = _count(value)
    return _text(value) if count is None else count


def _moment(value: Any) -> float | None:
    try:
        return None if value is None else _number(value.timestamp())
    except (OverflowError, ValueError):
        return None


def _web_address(value: Any) -> str | None:
    """Return an HTTP address, or None: other schemes, such as ``javascript:``, could run scripts."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return None
    is_usable = parts is not None and parts.scheme in ("http", "https") and bool(parts.netloc)
    # A truncated address would point elsewhere.
    return _text(value) if is_usable and len(value) <= MAX_TEXT_LENGTH else None
