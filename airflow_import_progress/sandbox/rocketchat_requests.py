# SPDX-License-Identifier: Apache-2.0
"""The shapes of Rocket.Chat's requests, with its error messages and its lenient conversion of scalars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from airflow_import_progress.sandbox.checks import Json

#: Converts a value as the server does.
Shape = Callable[[Json], Json]


class InvalidRequestError(Exception):
    """Raised with the message of the vendor's validator if a value does not have the right shape."""


def text(value: Json) -> str:
    """
    Return a string. Other scalars are converted.

    :param value: The client's value.
    :raises InvalidRequestError: If the value cannot be converted.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:.15g}"
    raise InvalidRequestError("must be string")


def number(value: Json) -> float:
    """
    Return a number. Other scalars are converted.

    :param value: The client's value.
    :raises InvalidRequestError: If the value cannot be converted.
    """
    try:
        made = float(value or 0) if value is None or isinstance(value, (str, int, float)) else math.nan
    except ValueError:
        made = math.nan
    if math.isfinite(made) and value != "":
        return made
    raise InvalidRequestError("must be number")


def flag(value: Json) -> bool:
    """
    Return a boolean. Some other scalars are converted.

    :param value: The client's value.
    :raises InvalidRequestError: If the value cannot be converted.
    """
    # Zero and one need no entries: they are equal to the two booleans.
    for made, meant in ((False, (False, None, "false")), (True, (True, "true"))):
        if value in meant:
            return made
    raise InvalidRequestError("must be boolean")


def anything(value: Json) -> Json:
    """
    Return the value.

    :param value: The client's value.
    """
    return value


def or_null(shape: Shape) -> Shape:
    """
    Return a shape that also accepts null.

    :param shape: The shape of other values.
    """

    def shape_or_null(value: Json) -> Json:
        if value is None:
            return None
        try:
            return shape(value)
        except InvalidRequestError:
            # Treat empty values as null if they are nothing else.
            if value in ("", 0):
                return None
            raise

    return shape_or_null


def list_of(item: Shape) -> Shape:
    """
    Return the shape of a list.

    :param item: The shape of its items.
    """

    def shape(value: Json) -> Json:
        if not isinstance(value, list):
            raise InvalidRequestError("must be array")
        return [item(one) for one in value]

    return shape


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None, *, closed: bool = True) -> Shape:
    """
    Return the shape of an object.

    :param required: The shapes of its required fields.
    :param optional: The shapes of its optional fields.
    :param closed: Whether other fields are refused.
    """
    fields = {**(optional or {}), **required}

    def shape(value: Json) -> Json:
        if not isinstance(value, dict):
            raise InvalidRequestError("must be object")
        for name in required:
            if name not in value:
                raise InvalidRequestError(f"must have required property '{name}'")
        if closed and not value.keys() <= fields.keys():
            raise InvalidRequestError("must NOT have additional properties")
        return {**value, **{name: field(value[name]) for name, field in fields.items() if name in value}}

    return shape


NOTHING = record({})
UPLOAD = record({"binaryContent": text, "contentType": text, "fileName": text, "importerKey": text})
DOWNLOAD = record({"fileUrl": text, "importerKey": text})
USERS = record(
    {
        "users": list_of(
            record(
                {"emails": list_of(text), "importIds": list_of(text)},
                {
                    **dict.fromkeys(
                        ("username", "name", "avatarUrl", "statusText", "type", "bio", "password"), or_null(text)
                    ),
                    "utcOffset": or_null(number),
                    "deleted": or_null(flag),
                    "roles": or_null(list_of(text)),
                },
                closed=False,
            )
        )
    }
)

_SELECTABLE = ("users", "channels", "contacts")
_SELECTED = record({}, {"all": flag, "list": list_of(text)}, closed=False)

SELECTION = record({"input": record({}, dict.fromkeys(_SELECTABLE, _SELECTED), closed=False)})
#: The selection in servers before 7.0.
OLD_SELECTION = record(
    {"input": record({}, dict.fromkeys(_SELECTABLE, list_of(record({}, closed=False))), closed=False)}
)
