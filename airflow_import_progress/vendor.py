# SPDX-License-Identifier: Apache-2.0
"""
The names that a vendor's module imports. Nothing else of the package is needed to add a vendor.

See ``docs/add-a-vendor.md``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from airflow_import_progress import clock
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.files import ImportFile, ImportFileSource
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.http.answers import (
    as_address,
    as_count,
    as_flag,
    as_moment,
    as_number,
    as_text,
    known_or_excerpt,
    redacted_address,
)
from airflow_import_progress.http.body import Base64JsonBody, JsonBody, MultipartBody
from airflow_import_progress.http.connection import VendorConnection, read_base_url, read_text, require_credential
from airflow_import_progress.http.connection_cache import ConnectionCache
from airflow_import_progress.http.exchange import Conversation, Request, Response, excerpt, is_transient
from airflow_import_progress.imports import Import, checked_id, quoted
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.gate import Gate, OnActionRequired

if TYPE_CHECKING:
    from airflow_import_progress.compat import Connection, XComArg
    from airflow_import_progress.operators.base import BaseImportOperator
    from airflow_import_progress.sensors.arguments import NOT_GIVEN, NotGiven
    from airflow_import_progress.sensors.base import BaseImportSensor
    from airflow_import_progress.starting.prepared import ImportNotFoundError, PreparedStart
    from airflow_import_progress.starting.record import StartRecord

__all__ = [
    "NOT_GIVEN",
    "Base64JsonBody",
    "BaseImportOperator",
    "BaseImportSensor",
    "Connection",
    "ConnectionCache",
    "Conversation",
    "Gate",
    "Import",
    "ImportActionRequiredError",
    "ImportFailedError",
    "ImportFile",
    "ImportFileError",
    "ImportFileSource",
    "ImportNotFoundError",
    "ImportPollError",
    "ImportProgress",
    "ImportProgressError",
    "ImportProgressHook",
    "ImportProtocolError",
    "ImportRequestError",
    "ImportStartRefusedError",
    "ImportStartUnknownError",
    "ImportState",
    "JsonBody",
    "MultipartBody",
    "NotGiven",
    "OnActionRequired",
    "PreparedStart",
    "Request",
    "Response",
    "StartRecord",
    "VendorConnection",
    "XComArg",
    "as_address",
    "as_count",
    "as_flag",
    "as_moment",
    "as_number",
    "as_text",
    "checked_id",
    "clock",
    "excerpt",
    "is_transient",
    "known_or_excerpt",
    "quoted",
    "read_base_url",
    "read_text",
    "redacted_address",
    "require_credential",
]

_LAZY = {
    "NOT_GIVEN": "airflow_import_progress.sensors.arguments",
    "BaseImportOperator": "airflow_import_progress.operators.base",
    "BaseImportSensor": "airflow_import_progress.sensors.base",
    "Connection": "airflow_import_progress.compat",
    "ImportNotFoundError": "airflow_import_progress.starting.prepared",
    "NotGiven": "airflow_import_progress.sensors.arguments",
    "PreparedStart": "airflow_import_progress.starting.prepared",
    "StartRecord": "airflow_import_progress.starting.record",
    "XComArg": "airflow_import_progress.compat",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Imported on first use: a triggerer imports the hooks on its event loop, and needs neither sensors nor
        # operators.
        if name not in _LAZY:
            raise AttributeError(f"{__name__} has no {name!r}")
        return getattr(importlib.import_module(_LAZY[name]), name)
