# SPDX-License-Identifier: Apache-2.0
"""
The conversations that start imports into Lucca.

Source: the published API reference, https://developers.luccasoftware.com/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_import_progress.vendor import (
    Conversation,
    ImportFailedError,
    ImportFile,
    MultipartBody,
    Request,
    Response,
    checked_id,
)

if TYPE_CHECKING:
    from airflow_import_progress.vendor import ImportFileSource

LEAVE_IMPORTS_PATH = "/timmi-absences/api/imports/v1.0/leavePeriods"
USER_LOCATION_IMPORTS_PATH = "/work-locations/public/api/imports/user-locations"
#: Largest file that Lucca accepts, in bytes.
MAX_FILE_BYTES = 100_000_000
LEAVE_FAILURE_ADVICE = (
    "Lucca gives the reason only in the import history of Absences, which lists imports made via the API too."
)


def leave_import(
    file: ImportFileSource, *, create: bool, recredit: bool | None, synchronize: bool | None
) -> Conversation[str]:
    """
    Start an import of leaves. The result is its ``summaryId``.

    :param file: The CSV file.
    :param create: Whether to create the leaves.
    :param recredit: Lucca's parameter ``recredit``, or None.
    :param synchronize: Lucca's parameter ``synchronize``, or None.
    """
    upload = ImportFile(file, max_bytes=MAX_FILE_BYTES)
    # Without "async", Lucca answers when the import has ended, but aborts requests that take five seconds.
    flags = {"create": create, "recredit": recredit, "synchronize": synchronize, "async": True}
    response = yield _request(LEAVE_IMPORTS_PATH, upload, flags, originalFileName=upload.name)
    summary_id = _summary_id(response)
    if response.json().get("hasError"):
        raise ImportFailedError(f"Lucca leave import {summary_id!r} began with an error. {LEAVE_FAILURE_ADVICE}")
    return summary_id


def user_location_import(file: ImportFileSource, *, create: bool, override_user_locations: bool) -> Conversation[str]:
    """
    Start an import of user locations. The result is its ``summaryId``.

    :param file: The CSV file.
    :param create: Whether to create the locations.
    :param override_user_locations: Lucca's parameter ``overrideUserLocations``.
    """
    upload = ImportFile(file, max_bytes=MAX_FILE_BYTES)
    flags = {"create": create, "overrideUserLocations": override_user_locations}
    return _summary_id((yield _request(USER_LOCATION_IMPORTS_PATH, upload, flags)))


def _request(path: str, file: ImportFile, flags: Mapping[str, bool | None], **params: str) -> Request:
    given = {name: str(value).lower() for name, value in flags.items() if value is not None}
    # Lucca documents no name for the parts of the form.
    body = MultipartBody("file", file, file.name, "text/csv")
    return Request(method="POST", path=path, params={**given, **params}, data=body)


def _summary_id(response: Response) -> str:
    answer = response.json()
    try:
        return checked_id("summaryId", answer.get("summaryId") if isinstance(answer, dict) else None)
    except ValueError:
        raise response.unexpected('an object with the key "summaryId"', "Lucca") from None
