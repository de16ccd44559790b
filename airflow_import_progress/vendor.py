# SPDX-License-Identifier: Apache-2.0
"""
The names that the modules of a vendor import. Nothing else of the package is needed to add a vendor.

They are stable as ``docs/add-a-vendor.md`` describes. Each is imported on first use: a triggerer imports hooks on its
event loop and needs neither sensors nor operators, and the modules that Airflow and the command read first need no
Airflow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from airflow_import_progress import clock

if TYPE_CHECKING:
    from airflow_import_progress.compat import Connection, XComArg
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
    from airflow_import_progress.imports import Import, ImportList, ListedImport, checked_id, quoted
    from airflow_import_progress.operators.base import BaseImportOperator
    from airflow_import_progress.progress import ImportProgress, ImportState
    from airflow_import_progress.provider_info import connection_type, shared_conn_fields
    from airflow_import_progress.sensors.arguments import NOT_GIVEN, NotGiven
    from airflow_import_progress.sensors.base import BaseImportSensor
    from airflow_import_progress.starting.prepared import ImportNotFoundError, PreparedStart
    from airflow_import_progress.starting.record import StartRecord
    from airflow_import_progress.triggers.import_end import BaseImportEndTrigger
    from airflow_import_progress.vendor_info import (
        MAX_FAILED_RECORDS,
        MIN_RECORDS,
        MIN_SUCCESS_RATE,
        ON_ACTION_REQUIRED,
        Argument,
        Kind,
        VendorInfo,
    )
    from airflow_import_progress.waiting.gate import Gate, OnActionRequired

__all__ = [
    "MAX_FAILED_RECORDS",
    "MIN_RECORDS",
    "MIN_SUCCESS_RATE",
    "NOT_GIVEN",
    "ON_ACTION_REQUIRED",
    "Argument",
    "Base64JsonBody",
    "BaseImportEndTrigger",
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
    "ImportList",
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
    "Kind",
    "ListedImport",
    "MultipartBody",
    "NotGiven",
    "OnActionRequired",
    "PreparedStart",
    "Request",
    "Response",
    "StartRecord",
    "VendorConnection",
    "VendorInfo",
    "XComArg",
    "as_address",
    "as_count",
    "as_flag",
    "as_moment",
    "as_number",
    "as_text",
    "checked_id",
    "clock",
    "connection_type",
    "excerpt",
    "is_transient",
    "known_or_excerpt",
    "quoted",
    "read_base_url",
    "read_text",
    "redacted_address",
    "require_credential",
    "shared_conn_fields",
]

#: The names with their modules.
_MODULES = {
    "MAX_FAILED_RECORDS": "airflow_import_progress.vendor_info",
    "MIN_RECORDS": "airflow_import_progress.vendor_info",
    "MIN_SUCCESS_RATE": "airflow_import_progress.vendor_info",
    "NOT_GIVEN": "airflow_import_progress.sensors.arguments",
    "ON_ACTION_REQUIRED": "airflow_import_progress.vendor_info",
    "Argument": "airflow_import_progress.vendor_info",
    "Base64JsonBody": "airflow_import_progress.http.body",
    "BaseImportEndTrigger": "airflow_import_progress.triggers.import_end",
    "BaseImportOperator": "airflow_import_progress.operators.base",
    "BaseImportSensor": "airflow_import_progress.sensors.base",
    "Connection": "airflow_import_progress.compat",
    "ConnectionCache": "airflow_import_progress.http.connection_cache",
    "Conversation": "airflow_import_progress.http.exchange",
    "Gate": "airflow_import_progress.waiting.gate",
    "Import": "airflow_import_progress.imports",
    "ImportActionRequiredError": "airflow_import_progress.exceptions",
    "ImportFailedError": "airflow_import_progress.exceptions",
    "ImportFile": "airflow_import_progress.files",
    "ImportFileError": "airflow_import_progress.exceptions",
    "ImportFileSource": "airflow_import_progress.files",
    "ImportList": "airflow_import_progress.imports",
    "ImportNotFoundError": "airflow_import_progress.starting.prepared",
    "ImportPollError": "airflow_import_progress.exceptions",
    "ImportProgress": "airflow_import_progress.progress",
    "ImportProgressError": "airflow_import_progress.exceptions",
    "ImportProgressHook": "airflow_import_progress.hooks.base",
    "ImportProtocolError": "airflow_import_progress.exceptions",
    "ImportRequestError": "airflow_import_progress.exceptions",
    "ImportStartRefusedError": "airflow_import_progress.exceptions",
    "ImportStartUnknownError": "airflow_import_progress.exceptions",
    "ImportState": "airflow_import_progress.progress",
    "JsonBody": "airflow_import_progress.http.body",
    "Kind": "airflow_import_progress.vendor_info",
    "ListedImport": "airflow_import_progress.imports",
    "MultipartBody": "airflow_import_progress.http.body",
    "NotGiven": "airflow_import_progress.sensors.arguments",
    "OnActionRequired": "airflow_import_progress.waiting.gate",
    "PreparedStart": "airflow_import_progress.starting.prepared",
    "Request": "airflow_import_progress.http.exchange",
    "Response": "airflow_import_progress.http.exchange",
    "StartRecord": "airflow_import_progress.starting.record",
    "VendorConnection": "airflow_import_progress.http.connection",
    "VendorInfo": "airflow_import_progress.vendor_info",
    "XComArg": "airflow_import_progress.compat",
    "as_address": "airflow_import_progress.http.answers",
    "as_count": "airflow_import_progress.http.answers",
    "as_flag": "airflow_import_progress.http.answers",
    "as_moment": "airflow_import_progress.http.answers",
    "as_number": "airflow_import_progress.http.answers",
    "as_text": "airflow_import_progress.http.answers",
    "checked_id": "airflow_import_progress.imports",
    "connection_type": "airflow_import_progress.provider_info",
    "excerpt": "airflow_import_progress.http.exchange",
    "is_transient": "airflow_import_progress.http.exchange",
    "known_or_excerpt": "airflow_import_progress.http.answers",
    "quoted": "airflow_import_progress.imports",
    "read_base_url": "airflow_import_progress.http.connection",
    "read_text": "airflow_import_progress.http.connection",
    "redacted_address": "airflow_import_progress.http.answers",
    "require_credential": "airflow_import_progress.http.connection",
    "shared_conn_fields": "airflow_import_progress.provider_info",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"{__name__} has no {name!r}")
        return getattr(importlib.import_module(_MODULES[name]), name)
