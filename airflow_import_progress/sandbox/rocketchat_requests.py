# SPDX-License-Identifier: Apache-2.0
"""What Rocket.Chat accepts as requests: in its words when it refuses, and as lenient as it is about scalars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from airflow_import_progress.sandbox.checks import Json

#: Returns a value as the server takes it.
Shape = Callable[[Json], Json]


class InvalidRequestError(Exception):
    """Tell, in the words of the vendor's validator, that a value has not the right shape."""


def text(value: Json) -> str:
    """
    Return a string, which other scalars are made to.

    :param value: what the client sent
    :raises InvalidRequestError: if that is none
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
    Return a number, which other scalars are made to.

    :param value: what the client sent
    :raises InvalidRequestError: if that is none
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
    Return a boolean, which some other scalars are made to.

    :param value: what the client sent
    :raises InvalidRequestError: if that is none
    """
    # Zero and one are equal to the two booleans.
    for made, meant in ((False, (False, None, "false")), (True, (True, "true"))):
        if value in meant:
            return made
    raise InvalidRequestError("must be boolean")


def anything(value: Json) -> Json:
    """
    Return the value.

    :param value: what the client sent
    """
    return value


def or_null(shape: Shape) -> Shape:
    """
    Return a shape that null has too.

    :param shape: the shape of other values
    """

    def shape_or_null(value: Json) -> Json:
        if value is None:
            return None
        try:
            return shape(value)
        except InvalidRequestError:
            # What is empty is taken for null where it cannot be anything else.
            if value in ("", 0):
                return None
            raise

    return shape_or_null


def list_of(item: Shape) -> Shape:
    """
    Return the shape of a list.

    :param item: the shape of its items
    """

    def shape(value: Json) -> Json:
        if not isinstance(value, list):
            raise InvalidRequestError("must be array")
        return [item(one) for one in value]

    return shape


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None, *, closed: bool = True) -> Shape:
    """
    Return the shape of an object.

    :param required: the shapes of the fields that it must have
    :param optional: the shapes of other fields; default: there are none
    :param closed: whether it may have no other fields
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
#: What servers before 7.0 take.
OLD_SELECTION = record(
    {"input": record({}, dict.fromkeys(_SELECTABLE, list_of(record({}, closed=False))), closed=False)}
)
