# SPDX-License-Identifier: Apache-2.0
"""
Lucca: imports of leaves (Absences) and of user locations (Office).

Source: the published API reference, sections "Import leaves" and "Import user locations",
https://developers.luccasoftware.com/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_import_progress.hooks.lucca_start import (
    LEAVE_FAILURE_ADVICE,
    LEAVE_IMPORTS_PATH,
    USER_LOCATION_IMPORTS_PATH,
    leave_import,
    user_location_import,
)
from airflow_import_progress.vendor import (
    Conversation,
    Gate,
    Import,
    ImportProgress,
    ImportProgressHook,
    ImportRequestError,
    ImportState,
    Request,
    Response,
    VendorConnection,
    as_count,
    checked_id,
    quoted,
    redacted_address,
    require_credential,
)

if TYPE_CHECKING:
    from airflow_import_progress.vendor import ImportFileSource

#: The results name every created location, so they grow with the import, whose file may have 100 MB.
MAX_RESULTS_BYTES = 32 * 1024 * 1024
#: Error lines in the progress; Lucca's error file has all of them.
MAX_SHOWN_ERROR_LINES = 5
#: A well-formed identifier that no import has.
UNKNOWN_IMPORT_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class _LuccaImport(Import):
    summary_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary_id", checked_id("summary_id", self.summary_id))

    @property
    def import_id(self) -> str:
        """The ``summary_id``."""
        return self.summary_id


@dataclass(frozen=True)
class LuccaLeaveImport(_LuccaImport):
    """
    Identify an import of leaves into Lucca Absences.

    :param summary_id: The ``summaryId`` that Lucca returned when the import was started.
    :raises ValueError: if it is not an identifier.
    """

    label: ClassVar[str] = "Lucca leave import"
    failure_advice: ClassVar[str] = LEAVE_FAILURE_ADVICE

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Request the progress of the import, which is a bare integer.

        :param connection: The connection.
        """
        response = yield _leave_progress_request(self.summary_id)
        return _progress(self.summary_id, response.json(), response)


@dataclass(frozen=True)
class LuccaUserLocationImport(_LuccaImport):
    """
    Identify an import of user locations into Lucca Office.

    :param summary_id: The ``summaryId`` that Lucca returned when the import was started.
    :param check_results: Whether to read the import's results once it is processed. Lucca reports 100 % when every
        line was *processed*; only the results report which lines were refused.
    :raises ValueError: if ``summary_id`` is not an identifier.
    """

    label: ClassVar[str] = "Lucca user location import"
    failure_advice: ClassVar[str] = "Check the import's error file or the import history of Office in Lucca."

    #: The last part of the path of the results.
    results: ClassVar[str] = "results"

    check_results: bool = False

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Request the progress of the import, and its results if it is processed and ``check_results`` is set.

        :param connection: The connection.
        """
        response = yield _user_location_request("progress", self.summary_id)
        answer = response.json()
        if not isinstance(answer, dict) or "progress" not in answer:
            raise response.unexpected('an object with the key "progress"', "Lucca")
        progress = _progress(self.summary_id, answer["progress"], response)
        if not self.check_results or progress.state is not ImportState.SUCCEEDED:
            return progress
        response = yield _user_location_request(self.results, self.summary_id, max_answer_bytes=MAX_RESULTS_BYTES)
        return _with_results(progress, response)


@dataclass(frozen=True)
class LuccaUserLocationSimulation(LuccaUserLocationImport):
    """Identify an import of user locations that was started with ``create=false``. Its results are an analysis."""

    label: ClassVar[str] = "Lucca user location simulation"
    results: ClassVar[str] = "analysis"


class LuccaHook(ImportProgressHook):
    """
    Send requests to one Lucca account with an API key.

    The connection has the host ``{account}.ilucca.net`` (or any other host of your account, such as a sandbox), the
    API key as password, the schema ``https`` unless given, and the extras ``timeout``, ``verify`` and ``proxy``.

    :param lucca_conn_id: The Airflow connection of type ``lucca``.
    """

    conn_name_attr: ClassVar[str] = "lucca_conn_id"
    default_conn_name: ClassVar[str] = "lucca_default"
    conn_type: ClassVar[str] = "lucca"
    hook_name: ClassVar[str] = "Lucca"
    import_classes: ClassVar[Sequence[type[Import]]] = (LuccaLeaveImport, LuccaUserLocationImport)
    requests_per_minute: ClassVar[float | None] = 50
    status_advice: ClassVar[Mapping[int, str]] = {
        401: "Lucca did not accept the API key: enter a valid one as the connection's password.",
        403: "This API key lacks a permission: give it the rights for the import in Lucca.",
        404: "The import does not exist, or this API key may not see it: check summary_id, and that the connection is "
        "for the account where the import was started.",
    }

    def __init__(self, lucca_conn_id: str = default_conn_name) -> None:
        super().__init__(lucca_conn_id)

    def validate_connection(self, connection: VendorConnection) -> None:
        """
        Raise if the API key is missing or cannot be sent.

        :param connection: The connection, already read.
        :raises ImportRequestError: if it is.
        """
        require_credential("password", connection.password, "Lucca API key")

    def start_leave_import(
        self,
        file: ImportFileSource,
        *,
        create: bool = True,
        recredit: bool | None = None,
        synchronize: bool | None = None,
    ) -> LuccaLeaveImport:
        """
        Start an import of leaves into Lucca Absences, once. Lucca cannot cancel or undo it.

        :param file: The CSV file: a path, an address in an object storage, or bytes. At most 100 MB.
        :param create: Whether to create the leaves. False only simulates the import. Default True.
        :param recredit: Lucca's parameter ``recredit``. Default None: Lucca's default.
        :param synchronize: Lucca's parameter ``synchronize``. Default None: Lucca's default.
        :return: The import, for :meth:`.ImportProgressHook.get_progress`. Its ``summary_id`` is for the sensor.
        :raises ImportFileError: if the file cannot be imported; nothing was started.
        :raises ImportStartRefusedError: if Lucca refuses it; nothing was started.
        :raises ImportStartUnknownError: if the answer was lost, so that the import may have been started.
        :raises ImportFailedError: if Lucca returns an import that has failed already.
        """
        conversation = leave_import(file, create=create, recredit=recredit, synchronize=synchronize)
        return LuccaLeaveImport(self.start_import(conversation))

    async def astart_leave_import(
        self,
        file: ImportFileSource,
        *,
        create: bool = True,
        recredit: bool | None = None,
        synchronize: bool | None = None,
    ) -> LuccaLeaveImport:
        """
        Start an import of leaves without blocking the event loop, as :meth:`start_leave_import`.

        :param file: The CSV file.
        :param create: Whether to create the leaves.
        :param recredit: Lucca's parameter ``recredit``.
        :param synchronize: Lucca's parameter ``synchronize``.
        """
        conversation = leave_import(file, create=create, recredit=recredit, synchronize=synchronize)
        return LuccaLeaveImport(await self.astart_import(conversation))

    def start_user_location_import(
        self, file: ImportFileSource, *, create: bool = True, override_user_locations: bool = False
    ) -> LuccaUserLocationImport:
        """
        Start an import of user locations into Lucca Office, once.

        :param file: The CSV file: a path, an address in an object storage, or bytes. At most 100 MB.
        :param create: Whether to create the locations. False only simulates the import. Default True.
        :param override_user_locations: Lucca's parameter ``overrideUserLocations``. Default False.
        :return: The import, for :meth:`.ImportProgressHook.get_progress`. Its ``summary_id`` is for the sensor.
        :raises ImportFileError: if the file cannot be imported; nothing was started.
        :raises ImportStartRefusedError: if Lucca refuses it; nothing was started.
        :raises ImportStartUnknownError: if the answer was lost, so that the import may have been started.
        """
        conversation = user_location_import(file, create=create, override_user_locations=override_user_locations)
        import_class = LuccaUserLocationImport if create else LuccaUserLocationSimulation
        return import_class(self.start_import(conversation))

    async def astart_user_location_import(
        self, file: ImportFileSource, *, create: bool = True, override_user_locations: bool = False
    ) -> LuccaUserLocationImport:
        """
        Start an import of user locations without blocking the event loop, as :meth:`start_user_location_import`.

        :param file: The CSV file.
        :param create: Whether to create the locations.
        :param override_user_locations: Lucca's parameter ``overrideUserLocations``.
        """
        conversation = user_location_import(file, create=create, override_user_locations=override_user_locations)
        import_class = LuccaUserLocationImport if create else LuccaUserLocationSimulation
        return import_class(await self.astart_import(conversation))

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the API key.

        :param request: The request.
        :param connection: The connection with the API key.
        """
        return (yield request.with_headers({"Authorization": f"lucca application={connection.password}"}))

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Request an import that does not exist from both import endpoints, which accept only a valid API key.

        :param connection: The connection to verify.
        """
        accepted: list[str] = []
        refused: list[str] = []
        for name, request in {
            "leave imports": _leave_progress_request(UNKNOWN_IMPORT_ID),
            "user location imports": _user_location_request("progress", UNKNOWN_IMPORT_ID),
        }.items():
            response = yield request
            if response.status in (400, 403, 404):
                # Lucca's answer to an unknown import is not documented, but its errors are JSON objects. Any other
                # 404 may be one of another web server, which does not verify the key.
                is_accepted = response.status != 403 and isinstance(response.parsed_or_none(), dict)
            else:
                response.json()
                is_accepted = True
            if is_accepted:
                accepted.append(name)
            else:
                refused.append(f"{name} (HTTP {response.status})")
        if not accepted:
            raise ImportRequestError(
                f"The API key may use neither import endpoint: {connection.base_url} refused "
                f"{' and '.join(refused)}. Check that the connection's host is your Lucca account's, and the rights "
                f"of the API key in Lucca."
            )
        message = f"{connection.base_url} accepted the API key for {' and '.join(accepted)}"
        return f"{message}, but not for {' and '.join(refused)}." if refused else f"{message}."


def results_gate(gate: Gate, *, check_results: bool) -> Gate:
    """
    Return a gate for user locations, or raise if it needs results that are not read.

    :param gate: The gate.
    :param check_results: Whether the results of the import are read.
    :raises ValueError: if the gate limits records without the results.
    """
    if not check_results and gate != Gate():
        raise ValueError(
            "max_failed_records, min_success_rate and min_records need check_results=True, because only the "
            "results of an import report which lines Lucca refused"
        )
    return gate


def _leave_progress_request(summary_id: str) -> Request:
    return Request(method="GET", path=f"{LEAVE_IMPORTS_PATH}/{quoted(summary_id)}/progress")


def _user_location_request(resource: str, summary_id: str, **arguments: Any) -> Request:
    path = f"{USER_LOCATION_IMPORTS_PATH}/{resource}"
    return Request(method="GET", path=path, params={"summaryId": summary_id}, **arguments)


def _progress(summary_id: str, number: Any, response: Response) -> ImportProgress:
    # A bool is an int in Python, but true is not 1 %.
    if not isinstance(number, int) or isinstance(number, bool) or not -1 <= number <= 100:
        raise response.unexpected("a whole number from -1 to 100", "Lucca")
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
            f"counted: check the import history of Office in Lucca, or set check_results=False without limits"
        )
        return replace(progress, message=problem, warning=problem)
    results = response.json()
    if not isinstance(results, dict) or not isinstance(results.get("errorLines"), list):
        raise response.unexpected('an object with the list "errorLines"', "Lucca")
    error_lines = results["errorLines"]
    # The analysis of a simulation has other names for what would be created and deleted.
    created = _count(results.get("userLocationsCreatedSummary", results.get("validUserLocationsToCreateSummary")))
    deleted = _count(results.get("userLocationsDeletedSummary", results.get("userLocationsToDeleteSummary")))
    total = None if created is None or deleted is None else created + deleted + len(error_lines)
    shown = [_error_line(line, response) for line in error_lines[:MAX_SHOWN_ERROR_LINES]]
    details: dict[str, Any] = {"created": created, "deleted": deleted}
    if shown:
        details["error_lines"] = shown
    if error_file := redacted_address(results.get("errorFileUri"), response):
        details["error_file"] = error_file
    summary = results.get("globalErrorSummary")
    errors = [response.excerpt(summary)] if isinstance(summary, str) and summary else []
    # An error that belongs to no line, and nothing imported: Lucca refused the file as a whole.
    is_refused = bool(errors) and not error_lines and not created and not deleted
    return replace(
        progress,
        state=ImportState.FAILED if is_refused else progress.state,
        total=total,
        processed=total,
        failed=len(error_lines),
        message="; ".join([*errors, *shown]) or None,
        details=details,
    )


def _count(summary: Any) -> int | None:
    count = summary.get("count") if isinstance(summary, dict) else None
    # Lucca documents integers. A count of another type is unknown, so that limits on the records fail.
    return as_count(count) if isinstance(count, int) else None


def _error_line(line: Any, response: Response) -> str:
    if not isinstance(line, dict):
        return response.excerpt(str(line), 200)
    return response.excerpt(f"line {line.get('lineNumber', '?')}: {line.get('error', 'no reason given')}", 200)
