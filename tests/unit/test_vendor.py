# SPDX-License-Identifier: Apache-2.0
"""The names that a vendor's module imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_import_progress import vendor
from airflow_import_progress.sandbox import vendor as sandbox_vendor

NAMES = {
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
    "connection_type",
    "clock",
    "excerpt",
    "is_transient",
    "known_or_excerpt",
    "quoted",
    "read_base_url",
    "read_text",
    "redacted_address",
    "require_credential",
    "shared_conn_fields",
}
SANDBOX_NAMES = {
    "DONE",
    "FAILED",
    "WORLD",
    "InvalidInputError",
    "Json",
    "Line",
    "RateLimitStatus",
    "Script",
    "SimulatedImport",
    "Table",
    "UnknownImportError",
    "UnreadableUploadError",
    "UploadedFile",
    "Vendor",
    "World",
    "require_fields",
    "require_flag",
    "require_integer",
    "require_number",
    "require_text",
    "table_of",
    "uploaded_files",
}


def loaded_by(program):
    """Return the names of the modules that a program has loaded."""
    command = [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return set(done.stdout.splitlines()[-1].split())


def test_these_names_are_exported_and_no_others():
    assert set(vendor.__all__) == NAMES


def test_every_exported_name_exists():
    assert all(hasattr(vendor, name) for name in NAMES)


def test_these_names_of_the_sandbox_are_exported_and_no_others():
    assert set(sandbox_vendor.__all__) == SANDBOX_NAMES
    assert all(hasattr(sandbox_vendor, name) for name in SANDBOX_NAMES)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    assert not hasattr(vendor, "import_id")


def test_every_exported_name_is_in_the_reference():
    page = (Path(__file__).parents[2] / "docs/api/vendor.md").read_text()
    assert [name for name in sorted(NAMES | SANDBOX_NAMES) if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    "name", ["MIN_RECORDS", "Argument", "Kind", "VendorInfo", "connection_type", "shared_conn_fields"]
)
def test_what_describes_a_vendor_loads_no_airflow(name):
    loaded = loaded_by(f"from airflow_import_progress.vendor import {name}")
    assert not {"airflow", "aiohttp", "pendulum", "requests"} & loaded


def test_a_triggerer_that_imports_a_hook_loads_neither_sensors_nor_operators():
    loaded = loaded_by("import airflow_import_progress.hooks.zilliz")
    assert "airflow_import_progress.hooks.base" in loaded
    ours = {name for name in loaded if name.startswith("airflow_import_progress.")}
    assert not [name for name in ours if name.split(".")[1] in ("operators", "plugin", "sandbox", "sensors")]
