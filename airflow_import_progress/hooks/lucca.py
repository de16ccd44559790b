# SPDX-License-Identifier: Apache-2.0
"""
Lucca: imports of leaves (Absences) and of user locations (Office).

Source of what is known about the vendor: the published API reference, sections "Import leaves" and
"Import user locations", https://developers.luccasoftware.com/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportProgress,
    ImportProgressHook,
    ImportProtocolError,
    ImportRequestError,
    ImportState,
    Request,
    Response,
    VendorConnection,
    as_address,
    checked_id,
    quoted,
)

LEAVE_IMPORTS_PATH = "/timmi-absences/api/imports/v1.0/leavePeriods"
USER_LOCATION_IMPORTS_PATH = "/work-locations/public/api/imports/user-locations"

#: Results name every created location, so they grow with the import, whose file may have 100 MB.
MAX_RESULTS_BYTES = 32 * 1024 * 1024
#: How many error lines travel with the progress; the rest is in Lucca's error file.
SHOWN_ERROR_LINES = 5
NO_IMPORT = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class LuccaLeaveImport(Import):
    """
    Identify an import of leaves into Lucca Absences.

    :param summary_id: The ``summaryId`` that Lucca answered when the import was started.
    :raises ValueError: if it is no identifier.
    """

    label: ClassVar[str] = "Lucca leave import"
    failure_advice: ClassVar[str] = (
        "Lucca gives the reason only in the import history of Absences, which lists imports made via the API too."
    )

    summary_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary_id", checked_id("summary_id", self.summary_id))

    @property
    def import_id(self) -> str:
        """Return the ``summary_id``."""
        return self.summary_id

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Ask how far the import is: one request, answered by a bare integer.

        :param connection: The connection that is used.
        """
        response = yield Request(method="GET", path=f"{LEAVE_IMPORTS_PATH}/{quoted(self.summary_id)}/progress")
        return _progress(self.summary_id, response.json(), response)


@dataclass(frozen=True)
class LuccaUserLocationImport(Import):
    """
    Identify an import of user locations into Lucca Office.

    :param summary_id: The ``summaryId`` that Lucca answered when the import was started.
    :param check_results: Whether to read the import's results once it is processed. Lucca counts an import as
        100 % when every line was *processed*; only the results tell which lines were refused.
    :raises ValueError: if ``summary_id`` is no identifier.
    """

    label: ClassVar[str] = "Lucca user location import"
    failure_advice: ClassVar[str] = "Look at the import's error file or at the import history of Office in Lucca."

    summary_id: str
    check_results: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary_id", checked_id("summary_id", self.summary_id))

    @property
    def import_id(self) -> str:
        """Return the ``summary_id``."""
        return self.summary_id

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Ask how far the import is, and for its results once it is processed if ``check_results`` is set.

        :param connection: The connection that is used.
        """
        response = yield Request(
            method="GET",
            path=f"{USER_LOCATION_IMPORTS_PATH}/progress",
            params={"summaryId": self.summary_id},
        )
        answer = response.json()
        if not isinstance(answer, dict) or "progress" not in answer:
            raise _unexpected(response, 'an object with the key "progress"')
        progress = _progress(self.summary_id, answer["progress"], response)
        if not self.check_results or progress.state is not ImportState.SUCCEEDED:
            return progress
        response = yield Request(
            method="GET",
            path=f"{USER_LOCATION_IMPORTS_PATH}/results",
            params={"summaryId": self.summary_id},
            max_answer_bytes=MAX_RESULTS_BYTES,
        )
        return _with_results(progress, response)


class LuccaHook(ImportProgressHook):
    """
    Talk to one Lucca account with an API key.

    The connection: host ``{account}.ilucca.net`` (or any other host that Lucca gave you, sandboxes included),
    password the API key, schema ``https`` unless given, extras ``timeout``, ``verify`` and ``proxy``.

    :param lucca_conn_id: The Airflow connection of type ``lucca``.
    """

    conn_name_attr: ClassVar[str] = "lucca_conn_id"
    default_conn_name: ClassVar[str] = "lucca_default"
    conn_type: ClassVar[str] = "lucca"
    hook_name: ClassVar[str] = "Lucca"
    import_classes: ClassVar[Sequence[type[Import]]] = (LuccaLeaveImport, LuccaUserLocationImport)
    requests_per_minute: ClassVar[float | None] = 50
    refusal_advice: ClassVar[Mapping[int, str]] = {
        401: "Lucca did not accept the API key: put a valid one into the connection's password.",
        403: "Lucca does not let this API key do that: give the key the rights for the import in Lucca.",
        404: "Lucca does not know it, or this API key may not see it: check summary_id, and that the connection is "
        "for the account where the import was started.",
    }

    def __init__(self, lucca_conn_id: str = default_conn_name) -> None:
        super().__init__(lucca_conn_id)

    def validate_connection(self, connection: VendorConnection) -> None:
        """
        Refuse a connection without a usable API key.

        :param connection: The connection, already read.
        :raises ImportRequestError: if the key is missing or cannot be sent.
        """
        key = connection.password
        if not key:
            raise ImportRequestError("The connection has no password. Enter the Lucca API key there.")
        if not (key.isascii() and key.isprintable()):
            raise ImportRequestError(
                "The connection's password has characters that no Lucca API key has. Enter the key alone."
            )

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with Lucca's header.

        :param request: What to ask.
        :param connection: The connection with the API key.
        """
        return (yield request.with_headers({"Authorization": f"lucca application={connection.password}"}))

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Ask both import endpoints for an import that does not exist, which only an accepted API key may do.

        :param connection: The connection to verify.
        """
        accepted: list[str] = []
        refused: list[str] = []
        for name, request in {
            "leave imports": Request(method="GET", path=f"{LEAVE_IMPORTS_PATH}/{NO_IMPORT}/progress"),
            "user location imports": Request(
                method="GET", path=f"{USER_LOCATION_IMPORTS_PATH}/progress", params={"summaryId": NO_IMPORT}
            ),
        }.items():
            response = yield request
            if response.status in (400, 403, 404):
                # What Lucca says of an unknown import is not documented, but its errors are JSON objects. Any
                # web server answers 404 in its own way, and that verifies nothing.
                known = response.status != 403 and isinstance(response.parsed_or_none(), dict)
            else:
                response.json()
                known = True
            if known:
                accepted.append(name)
            else:
                refused.append(f"{name} (HTTP {response.status})")
        if not accepted:
            raise ImportRequestError(
                f"{connection.base_url} accepted the API key for nothing that imports need: it refused "
                f"{' and '.join(refused)}. Check that the connection's host is your Lucca account's, and the rights "
                f"of the API key in Lucca."
            )
        words = f"{connection.base_url} accepted the API key for {' and '.join(accepted)}"
        return f"{words}, but not for {' and '.join(refused)}." if refused else f"{words}."


def _progress(summary_id: str, number: Any, response: Response) -> ImportProgress:
    # A bool is an int to Python, and true is not 1 %.
    if not isinstance(number, int) or isinstance(number, bool) or not -1 <= number <= 100:
        raise _unexpected(response, "a whole number from -1 to 100")
    if number == -1:
        state = ImportState.FAILED
    elif number == 0:
        state = ImportState.PENDING
    elif number < 100:
        state = ImportState.RUNNING
    else:
        state = ImportState.SUCCEEDED
    return ImportProgress(
        import_id=summary_id,
        state=state,
        percent=None if state is ImportState.FAILED else float(number),
        vendor_status=number,
    )


def _with_results(progress: ImportProgress, response: Response) -> ImportProgress:
    """Return a finished import's progress with the counts and the first error lines of its results."""
    if response.is_too_long:
        problem = (
            f"its results are longer than {MAX_RESULTS_BYTES // 1024**2} MiB, so the lines that Lucca refused are not "
            f"counted: see the import history of Office in Lucca, or set check_results=False without limits"
        )
        return replace(progress, message=problem, warning=problem)
    results = response.json()
    if not isinstance(results, dict) or not isinstance(results.get("errorLines"), list):
        raise _unexpected(response, 'an object with the list "errorLines"')
    error_lines = results["errorLines"]
    created = _count(results, "userLocationsCreatedSummary")
    deleted = _count(results, "userLocationsDeletedSummary")
    total = None if created is None or deleted is None else created + deleted + len(error_lines)
    shown = [_error_line(line, response) for line in error_lines[:SHOWN_ERROR_LINES]]
    details: dict[str, Any] = {"created": created, "deleted": deleted}
    if shown:
        details["error_lines"] = shown
    if error_file := as_address(results.get("errorFileUri")):
        details["error_file"] = response.redacted(error_file)
    summary = results.get("globalErrorSummary")
    words = [response.excerpt(summary)] if isinstance(summary, str) and summary else []
    # An error that is no line's, and nothing imported: the file as a whole was refused.
    refused = bool(words) and not error_lines and not created and not deleted
    return replace(
        progress,
        state=ImportState.FAILED if refused else progress.state,
        total=total,
        processed=total,
        failed=len(error_lines),
        message="; ".join([*words, *shown]) or None,
        details=details,
    )


def _count(results: dict[str, Any], key: str) -> int | None:
    summary = results.get(key)
    count = summary.get("count") if isinstance(summary, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _error_line(line: Any, response: Response) -> str:
    if not isinstance(line, dict):
        return response.excerpt(str(line), 200)
    return response.excerpt(f"line {line.get('lineNumber', '?')}: {line.get('error', 'no reason given')}", 200)


def _unexpected(response: Response, expected: str) -> ImportProtocolError:
    return ImportProtocolError(
        f"{response.request_line} answered {response.excerpt() or 'an empty body'!r} where Lucca's API promises "
        f"{expected}. Whether the import succeeded is unknown: look in Lucca, and report this if it lasts."
    )
