# SPDX-License-Identifier: Apache-2.0
"""Lucca: the import of leaves (Lucca Absences) and of user locations (Lucca Office)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.checks import Json
from airflow_import_progress.sandbox.rates import RateLimitStatus
from airflow_import_progress.sandbox.script import Script
from airflow_import_progress.sandbox.simulated_import import UnknownImportError
from airflow_import_progress.sandbox.uploads import Line, Table, UnreadableUploadError, table_of, uploaded_files
from airflow_import_progress.sandbox.vendor import WORLD, Vendor

LEAVES = "/timmi-absences/api/imports/v1.0/leavePeriods"
USER_LOCATIONS = "/work-locations/public/api/imports/user-locations"

_NAME = "lucca"
_AUTHORIZATION = "lucca application="
_FAILS_AT = 60.0
_DEFAULT_FILE_NAME = "import.csv"

_FLAGS = {"true": True, "false": False}
_LEAVE_DATE = re.compile(r"(?P<day>[0-9]{2})/(?P<month>[0-9]{2})/(?P<year>[0-9]{4})")
_USER_LOCATION_DATE = re.compile(r"(?P<year>[0-9]{4})(?P<divider>[-/])(?P<month>[0-9]{2})(?P=divider)(?P<day>[0-9]{2})")

_LEAVE_COLUMNS = (
    "legalentity",
    "employeenumber",
    "lastname",
    "firstname",
    "accountid",
    "startdate",
    "flagstartdate",
    "enddate",
    "flagenddate",
    "isapproved",
)
_USER_LOCATION_COLUMNS = ("login", "worklocationname", "date", "position")


class Lucca(Vendor):
    """Lucca's legacy import endpoints."""

    name = _NAME
    kinds = ("leave", "user_location")
    kinds_with_results = ("user_location",)
    credentials: ClassVar[Mapping[str, str]] = {"api_key": "sandbox-lucca-key"}
    rate_limit = 50

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the documented endpoints."""
        return (
            web.post(LEAVES, _import_leaves),
            web.get(LEAVES + "/{summaryId}/progress", _leaves_progress, allow_head=False),
            web.post(USER_LOCATIONS, _import_user_locations),
            web.get(USER_LOCATIONS + "/progress", _user_locations_progress, allow_head=False),
            web.get(USER_LOCATIONS + "/results", _user_locations_results, allow_head=False),
            web.get(USER_LOCATIONS + "/analysis", _user_locations_analysis, allow_head=False),
        )

    async def import_id(self, request: web.Request) -> str | None:
        """Return the ``summaryId`` of the path or the query."""
        return _summary_id(request)

    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """Return True if the header is exactly the documented one."""
        return request.headers.get("Authorization") == _AUTHORIZATION + credentials["api_key"]

    async def unauthorized(self, request: web.Request) -> web.Response:
        """Return Lucca's problem body with 401."""
        return _problem(401, "Unauthorized")

    def too_many_requests(self, rate_limit: RateLimitStatus) -> web.Response:
        """Return Lucca's problem body with 429 and ``Retry-After``."""
        response = _problem(429, "Too Many Requests")
        response.headers["Retry-After"] = str(math.ceil(rate_limit.seconds_left))
        return response

    @staticmethod
    def progress_in(answer: Json) -> float | None:
        """Return the bare number of leaves, or ``progress`` of user locations."""
        progress = answer.get("progress") if isinstance(answer, Mapping) else answer
        if isinstance(progress, (int, float)) and not isinstance(progress, bool):
            return progress
        return None

    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, str]:
        """Return the API key as the password."""
        return {"conn_type": _NAME, "password": credentials["api_key"]}

    def redact_authorization(self, value: str) -> str:
        """Return the documented header without its key."""
        return f"{_AUTHORIZATION}***" if value.startswith(_AUTHORIZATION) else "***"


async def _import_leaves(request: web.Request) -> web.Response:
    try:
        analysis_only = not _flag(request, "create", default=True)
        is_async = _flag(request, "async", default=True)
        files = await uploaded_files(request)
    except (KeyError, UnreadableUploadError):
        return _problem(400, "Bad Request")
    world = request.app[WORLD]
    # End a synchronous import at once: its client receives the answer at the end.
    duration = world.import_duration if is_async else 0.0
    try:
        tables = [_table_with(_LEAVE_COLUMNS, file.content) for file in files]
    except UnreadableUploadError:
        has_error, script = True, Script.steady(duration, fail_at=0.0)
    else:
        readable = all(_is_leave(_row(table, line)) for table in tables for line in table.lines)
        has_error, script = False, Script.steady(duration, fail_at=None if readable else _FAILS_AT)
    import_ = world.start_import(
        _NAME,
        "leave",
        script,
        Lucca.new_import_id("leave"),
        file_name=request.query.get("originalFileName") or files[0].name or _DEFAULT_FILE_NAME,
        analysis_only=analysis_only,
    )
    # A script of the user replaces all that follows from the file.
    has_error = has_error and import_.script is script
    return web.json_response({"summaryId": import_.import_id, "hasError": has_error})


async def _leaves_progress(request: web.Request) -> web.Response:
    return _progress(request, "leave", math.floor)


async def _import_user_locations(request: web.Request) -> web.Response:
    try:
        analysis_only = not _flag(request, "create")
        _flag(request, "overrideUserLocations")
        files = await uploaded_files(request)
    except (KeyError, UnreadableUploadError):
        return _problem(400, "Bad Request")
    world = request.app[WORLD]
    import_ = world.start_import(
        _NAME,
        "user_location",
        Script.steady(world.import_duration),
        Lucca.new_import_id("user_location"),
        file_name=files[0].name or _DEFAULT_FILE_NAME,
        analysis_only=analysis_only,
    )
    world.state(LuccaState).outcomes[import_.import_id] = _outcome([file.content for file in files])
    return web.json_response({"summaryId": import_.import_id})


async def _user_locations_progress(request: web.Request) -> web.Response:
    return _progress(request, "user_location", lambda progress: {"progress": math.floor(progress)})


async def _user_locations_results(request: web.Request) -> web.Response:
    return _summary(request, analysis_only=False)


async def _user_locations_analysis(request: web.Request) -> web.Response:
    return _summary(request, analysis_only=True)


def _progress(request: web.Request, kind: str, body: Callable[[float], Json]) -> web.Response:
    summary_id = _summary_id(request)
    if summary_id is None:
        return _problem(400, "Bad Request")
    try:
        return web.json_response(request.app[WORLD].poll(_NAME, kind, summary_id, body))
    except UnknownImportError:
        return _problem(404, "Not Found")


def _summary(request: web.Request, analysis_only: bool) -> web.Response:
    world, summary_id = request.app[WORLD], _summary_id(request)
    if summary_id is None:
        return _problem(400, "Bad Request")
    try:
        import_ = world.find(_NAME, "user_location", summary_id)
    except UnknownImportError:
        return _problem(404, "Not Found")
    if import_.analysis_only != analysis_only:
        return _problem(404, "Not Found")
    if not import_.is_over(Lucca.progress_in):
        return _problem(400, "The import is not finished")
    if import_.script.results is not None:
        return web.json_response(import_.script.results)
    outcome = world.state(LuccaState).outcomes.get(summary_id) or _Outcome()
    return web.json_response(outcome.summary(summary_id, analysis_only))


def _summary_id(request: web.Request) -> str | None:
    return request.match_info.get("summaryId") or request.query.get("summaryId") or None


def _flag(request: web.Request, name: str, default: bool | None = None) -> bool:
    if name not in request.query and default is not None:
        return default
    return _FLAGS[request.query.get(name, "").lower()]


def _problem(status: int, message: str) -> web.Response:
    return web.json_response({"Status": status, "Message": message}, status=status)


def _table_with(columns: Iterable[str], content: bytes) -> Table:
    table = table_of(content, ";")
    missing = set(columns) - set(_column_names(table))
    if missing:
        raise UnreadableUploadError(f"missing columns: {', '.join(sorted(missing))}")
    return table


def _column_names(table: Table) -> list[str]:
    return [name.strip().lower() for name in table.header]


def _row(table: Table, line: Line) -> Mapping[str, str] | None:
    """Return the cells by lower-case column name. None: their number is wrong."""
    if len(line.cells) != len(table.header):
        return None
    return dict(zip(_column_names(table), map(str.strip, line.cells), strict=True))


def _is_leave(row: Mapping[str, str] | None) -> bool:
    if row is None or {row["flagstartdate"], row["flagenddate"]} - {"AM", "PM"}:
        return False
    start = _date(row["startdate"], _LEAVE_DATE)
    end = _date(row["enddate"], _LEAVE_DATE)
    if start is None or end is None:
        return False
    return (start, row["flagstartdate"]) <= (end, row["flagenddate"])


def _date(text: str, pattern: re.Pattern[str]) -> date | None:
    match = pattern.fullmatch(text)
    if match is None:
        return None
    try:
        return date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None


@dataclass
class _Outcome:
    """The effects and errors of an import of user locations."""

    created: list[str] = field(default_factory=list)
    deleted: int = 0
    errors: list[Json] = field(default_factory=list)
    unreadable: str | None = None

    def summary(self, summary_id: str, analysis_only: bool) -> Json:
        """Return the documented body: the analysis if ``analysis_only``, otherwise the results."""
        has_errors = bool(self.errors or self.unreadable)
        created_name = "validUserLocationsToCreateSummary" if analysis_only else "userLocationsCreatedSummary"
        deleted_name = "userLocationsToDeleteSummary" if analysis_only else "userLocationsDeletedSummary"
        line_errors = f"{len(self.errors)} errors lines detected" if self.errors else None
        return {
            "summaryId": summary_id,
            created_name: {"count": len(self.created), "descriptions": self.created},
            deleted_name: {"count": self.deleted},
            "globalErrorSummary": self.unreadable or line_errors,
            "errorLines": self.errors,
            "warningLines": [],
            "errorFileUri": f"https://lucca.example/imports/errors/{summary_id}" if has_errors else None,
        }

    def read(self, table: Table, line: Line) -> None:
        """Add the effect of a line, or its error."""
        row = _row(table, line)
        if row is None:
            problem = f"{len(line.cells)} columns instead of {len(table.header)}"
            partial_row = dict(zip(_column_names(table), line.cells, strict=False))
            self.errors.append(_error_line(partial_row, line.number, problem))
            return
        day = _date(row["date"], _USER_LOCATION_DATE)
        error = _user_location_error(row)
        if error is not None or day is None:
            self.errors.append(_error_line(row, line.number, error or "Invalid date"))
        elif _is_deletion(row):
            self.deleted += 1
        else:
            self.created.append(f"Created user location for {row['login']} on {day:%Y/%m/%d}")


@dataclass
class LuccaState:
    """
    The vendor's own state.

    :param outcomes: The outcomes of the uploaded files of user locations, by ``summaryId``.
    """

    outcomes: dict[str, _Outcome] = field(default_factory=dict)


def _outcome(files: Iterable[bytes]) -> _Outcome:
    outcome = _Outcome()
    for content in files:
        try:
            table = _table_with(_USER_LOCATION_COLUMNS, content)
        except UnreadableUploadError as error:
            outcome.unreadable = f"The file cannot be read: {error}"
            continue
        for line in table.lines:
            outcome.read(table, line)
    return outcome


def _user_location_error(row: Mapping[str, str]) -> str | None:
    if row["login"].startswith("unknown"):
        return "User doesn't exist"
    for column in ("login", "workLocationName"):
        if not row[column.lower()]:
            return f"{column} is required"
    if row["position"] not in ("FullDay", "FirstHalf", "SecondHalf"):
        return "Invalid position"
    if row.get("isdeletion", "").lower() not in ("", *_FLAGS):
        return "Invalid isDeletion"
    return None


def _is_deletion(row: Mapping[str, str]) -> bool:
    return _FLAGS.get(row.get("isdeletion", "").lower(), False)


def _error_line(row: Mapping[str, str], number: int, error: str) -> Json:
    day = _date(row.get("date", ""), _USER_LOCATION_DATE)
    return {
        "line": {
            "login": row.get("login", ""),
            "firstname": row.get("firstname", ""),
            "lastname": row.get("lastname", ""),
            "worklocationName": row.get("worklocationname", ""),
            "areaName": row.get("areaname", ""),
            "date": day.isoformat() if day else row.get("date", ""),
            "position": row.get("position", ""),
            "comment": row.get("comment", ""),
            "isDeletion": _is_deletion(row),
        },
        "lineNumber": number,
        "error": error,
    }
