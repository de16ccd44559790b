# SPDX-License-Identifier: Apache-2.0
"""The names that a vendor's module imports."""

from __future__ import annotations

from airflow_import_progress import vendor

NAMES = {
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
}


def test_these_names_are_exported_and_no_others():
    assert set(vendor.__all__) == NAMES


def test_every_exported_name_exists():
    assert all(hasattr(vendor, name) for name in NAMES)
