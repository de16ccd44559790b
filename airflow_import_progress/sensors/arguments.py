# SPDX-License-Identifier: Apache-2.0
"""Arguments of sensors that are not given, or whose value is known only when the task runs."""

from __future__ import annotations

import os
from enum import Enum
from typing import Any, Final

#: The marks with which Jinja's expressions, statements and comments begin.
TEMPLATE_MARKS = ("{{", "{%", "{#")


class NotGiven(Enum):
    """
    The default of an optional argument that identifies the import.

    It is not None, because a missing XCom or an unset variable is None: an argument that resolved to None is not an
    omitted argument.
    """

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.value


#: The default of an optional argument that identifies the import, see :class:`NotGiven`.
NOT_GIVEN: Final = NotGiven.NOT_GIVEN


def is_resolved_later(value: Any) -> bool:
    """Return whether the value of an operator's argument is known only when the task runs."""
    if isinstance(value, str):
        return any(mark in value for mark in TEMPLATE_MARKS)
    # Airflow calls functions, and resolves other values with a method of theirs.
    return callable(value) or (hasattr(value, "resolve") and not isinstance(value, os.PathLike))
