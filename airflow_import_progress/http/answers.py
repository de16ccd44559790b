# SPDX-License-Identifier: Apache-2.0
"""
Read the fields of vendors' answers, which are not always of the type that their documents promise.

Each function returns None for what it cannot read: whether that matters is the vendor's module to say.
"""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pendulum

MAX_ADDRESS_LENGTH = 2000
#: Counts of more digits than this are no counts, and slow to read.
MAX_COUNT_DIGITS = 18
#: Smaller numbers of seconds since the epoch are years or the like, larger ones are milliseconds.
EARLIEST_SECONDS, LATEST_SECONDS = 1e8, 1e11
#: Without a year the rest of a date would be made up: "Friday" and "now" are times, too, to those who parse them.
YEAR = re.compile(r"\d{4}", re.ASCII)


def as_count(value: Any) -> int | None:
    """
    Return a number of records: a whole number from 0, also as a string or with a fraction of zero.

    :param value: What the vendor answered.
    """
    if isinstance(value, str) and re.fullmatch(r"\d+", value.strip(), re.ASCII) and len(value) <= MAX_COUNT_DIGITS:
        return int(value)
    number = as_number(value) if isinstance(value, int | float) else None
    if number is None or number < 0 or not number.is_integer() or number >= 10**MAX_COUNT_DIGITS:
        return None
    return int(value)


def as_number(value: Any) -> float | None:
    """
    Return a finite number, also as a string.

    :param value: What the vendor answered.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_flag(value: Any) -> bool | None:
    """
    Return a truth value, also as one of the strings ``"true"`` and ``"false"``.

    :param value: What the vendor answered.
    """
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def as_text(value: Any) -> str | None:
    """
    Return a text that says something.

    :param value: What the vendor answered.
    """
    return value.strip() or None if isinstance(value, str) else None


def as_moment(value: Any) -> pendulum.DateTime | None:
    """
    Return a point in time, in UTC unless the vendor says otherwise.

    It may be ISO 8601, another common notation, or a number of seconds or milliseconds since the epoch.

    :param value: What the vendor answered.
    """
    number, text = as_number(value), as_text(value)
    try:
        if number is not None:
            seconds = number / 1000 if number >= LATEST_SECONDS else number
            return pendulum.from_timestamp(seconds) if seconds >= EARLIEST_SECONDS else None
        moment = pendulum.parse(text, strict=False, exact=True) if text and YEAR.search(text) else None
    except (ValueError, OverflowError, OSError):
        return None
    if isinstance(moment, pendulum.Date) and not isinstance(moment, pendulum.DateTime):
        return pendulum.datetime(moment.year, moment.month, moment.day)
    return moment if isinstance(moment, pendulum.DateTime) else None


def as_address(value: Any) -> str | None:
    """
    Return the address of a file at the vendor without its query, which may be a signature that opens the file.

    :param value: What the vendor answered.
    """
    text = as_text(value)
    if not text or not text.isprintable() or len(text) > MAX_ADDRESS_LENGTH:
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
