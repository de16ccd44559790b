# SPDX-License-Identifier: Apache-2.0
"""
Read the fields of vendors' answers, which are not always of the documented type.

The functions ``as_*`` take the value of a field and return it in the type that their name says, or None if it cannot be
read as one. They do not raise: the vendor's module decides whether a missing value is an error.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pendulum

if TYPE_CHECKING:
    from airflow_import_progress.http.exchange import Response

MAX_ADDRESS_LENGTH = 2000
#: Numbers with more digits are not counts, and slow to parse.
MAX_COUNT_DIGITS = 18
#: Seconds since the epoch. A smaller number is not a time but a year, for example; a larger one is in milliseconds.
MIN_SECONDS, MAX_SECONDS = 1e8, 1e11
#: A date needs a year: from "Friday" or "now" the parser would make up the rest.
YEAR = re.compile(r"\d{4}", re.ASCII)


def as_count(value: Any) -> int | None:
    """Return a number of records: a whole number from 0, also from a string or from a float without a fraction."""
    if isinstance(value, str) and re.fullmatch(r"\d+", value.strip(), re.ASCII) and len(value) <= MAX_COUNT_DIGITS:
        return int(value)
    number = as_number(value) if isinstance(value, int | float) else None
    if number is None or number < 0 or not number.is_integer() or number >= 10**MAX_COUNT_DIGITS:
        return None
    return int(value)


def as_number(value: Any) -> float | None:
    """Return a finite number, also from a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_flag(value: Any) -> bool | None:
    """Return a boolean, also from one of the strings ``"true"`` and ``"false"``."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def as_text(value: Any) -> str | None:
    """Return a text that is not empty or blank, without the space around it."""
    return value.strip() or None if isinstance(value, str) else None


def as_moment(value: Any) -> pendulum.DateTime | None:
    """
    Return a point in time, in UTC unless it has another time zone.

    The field may be in ISO 8601 or another common notation, or a number of seconds or milliseconds since the epoch.
    """
    number, text = as_number(value), as_text(value)
    try:
        if number is not None:
            seconds = number / 1000 if number >= MAX_SECONDS else number
            return pendulum.from_timestamp(seconds) if seconds >= MIN_SECONDS else None
        moment = pendulum.parse(text, strict=False, exact=True) if text and YEAR.search(text) else None
    except (ValueError, OverflowError, OSError):
        return None
    if isinstance(moment, pendulum.Date) and not isinstance(moment, pendulum.DateTime):
        return pendulum.datetime(moment.year, moment.month, moment.day)
    return moment if isinstance(moment, pendulum.DateTime) else None


def as_address(value: Any) -> str | None:
    """Return the address of a file without its user, password and query, which may give access to the file."""
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


def redacted_address(value: Any, response: Response) -> str | None:
    """Return the address of a file as :func:`as_address`, also without the secrets of the response's connection."""
    address = as_address(value)
    return None if address is None else response.redacted(address)


def known_or_excerpt(status: str, response: Response, *, is_known: bool, length: int = 100) -> str:
    """
    Return a known status unchanged, and an excerpt of an unknown one.

    A known status does not disclose a secret, even if a secret is the same word.

    :param status: The status in the vendor's answer.
    :param response: The response that has the status.
    :param is_known: Whether the vendor's module knows the status.
    :param length: Maximum length of the excerpt, in characters.
    """
    return status if is_known else response.excerpt(status, length)
