# SPDX-License-Identifier: Apache-2.0
"""A start right before its request is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_import_progress.imports import Import


@dataclass(frozen=True, kw_only=True)
class PreparedStart:
    """
    Hold a start whose arguments and file have been checked, right before the request is sent.

    :param description: The content to import, for the log and the Imports page, such as ``"the file
        '/data/leaves.csv'"``. Without any secret.
    :param digest: A digest of the content. It reveals that the content has changed.
    :param send: Starts the import and returns its reference.
    :param notes: Plain JSON values, to recognize the import at the vendor if its answer is lost. Without any secret.
    """

    description: str
    digest: str
    send: Callable[[], Import]
    notes: Mapping[str, Any] = field(default_factory=dict)


class ImportNotFoundError(Exception):
    """Raised by ``find_import()`` of an operator if certainly no import was started."""
