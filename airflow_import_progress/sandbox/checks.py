# SPDX-License-Identifier: Apache-2.0
"""Checks of user input. Their errors name the wrong field."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Mapping
from typing import Any

Json = Any


class InvalidInputError(ValueError):
    """
    Raised if a field given to the sandbox cannot be used.

    :param field: Dotted path of the field, such as ``script.fail_at``.
    :param problem: The rule that the field breaks.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def require_fields(value: Json, where: str, allowed: Collection[str]) -> Mapping[str, Json]:
    """
    Return ``value`` if it is an object without fields other than ``allowed``.

    :param value: The user's input.
    :param where: Path of the object. Empty: the whole body.
    :param allowed: Names of the fields that it may have.
    """
    fields = require_object(value, where)
    for name in fields:
        if name not in allowed:
            raise InvalidInputError(path_of(where, str(name)), f"unknown; known are {', '.join(allowed)}")
    return fields


def require_object(value: Json, where: str) -> Mapping[str, Json]:
    """
    Return ``value`` if it is an object.

    :param value: The user's input.
    :param where: Path of the object. Empty: the whole body.
    """
    if not isinstance(value, Mapping):
        raise InvalidInputError(where or "body", "must be a JSON object")
    return value


def require_number(value: Json, field: str, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """
    Return ``value`` as a float if it is a finite number within bounds.

    :param value: The user's input.
    :param field: Path of the field.
    :param minimum: Smallest accepted number. Default: no bound.
    :param maximum: Largest accepted number. Default: no bound.
    """
    # The comparisons also reject NaN, and integers that do not fit into a float.
    if _is_number(value) and minimum <= value <= maximum and abs(value) <= sys.float_info.max:
        return float(value)
    if math.isfinite(maximum):
        raise InvalidInputError(field, f"must be a number from {minimum:g} to {maximum:g}")
    at_least = f" of at least {minimum:g}" if math.isfinite(minimum) else ""
    raise InvalidInputError(field, f"must be a number{at_least}")


def require_integer(value: Json, field: str, minimum: int, maximum: int | None = None) -> int:
    """
    Return ``value`` if it is an integer within bounds.

    :param value: The user's input.
    :param field: Path of the field.
    :param minimum: Smallest accepted integer.
    :param maximum: Largest accepted integer. Default: the largest size of a list.
    """
    largest = sys.maxsize if maximum is None else maximum
    if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= largest:
        return value
    if maximum is not None:
        raise InvalidInputError(field, f"must be an integer from {minimum} to {maximum}")
    raise InvalidInputError(field, f"must be an integer of at least {minimum}")


def require_text(value: Json, field: str) -> str:
    """
    Return ``value`` if it is a string that is not empty.

    :param value: The user's input.
    :param field: Path of the field.
    """
    if isinstance(value, str) and value:
        return value
    raise InvalidInputError(field, "must be a string that is not empty")


def require_flag(value: Json, field: str) -> bool:
    """
    Check that a value is true or false, and return it.

    :param value: The value.
    :param field: Name of the field, for the error message.
    """
    if not isinstance(value, bool):
        raise InvalidInputError(field, "must be true or false")
    return value


def require_json(value: Json, field: str) -> Json:
    """
    Return ``value`` if it can be sent as JSON.

    :param value: The user's input.
    :param field: Path of the field.
    """
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(field, f"cannot be sent as JSON ({error})") from error
    return value


def path_of(where: str, name: str) -> str:
    """
    Return the dotted path of a field.

    :param where: Path of the object that has the field. Empty: the whole body.
    :param name: Name of the field.
    """
    return f"{where}.{name}" if where else name


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
