# SPDX-License-Identifier: Apache-2.0
"""LeadsyGroup: the import of a company's leads."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.checks import InvalidInputError, Json, require_fields
from airflow_import_progress.sandbox.script import DONE, FAILED, Script
from airflow_import_progress.sandbox.simulated_import import SimulatedImport, UnknownImportError
from airflow_import_progress.sandbox.uploads import Table, UnreadableUploadError, table_of, uploaded_files
from airflow_import_progress.sandbox.vendor import WORLD, Vendor
from airflow_import_progress.sandbox.world import World

IMPORTS = "/api/v1/import"

_NAME = "leadsy"
_KIND = "lead"
_STATUSES = {"pending": 0, "processing": 1, "completed": 2, "failed": 3}
_IMPORTED_BY = {"id": 7, "full_name": "Ada Lovelace", "email": "ada@leadsy.example"}
_COMPANY = {"id": 3}
_DEFAULT_FILE_NAME = "leads.csv"


class Leadsy(Vendor):
    """LeadsyGroup's import files."""

    name = _NAME
    kinds = (_KIND,)
    credentials: ClassVar[Mapping[str, str]] = {"token": "sandbox-leadsy-token"}

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the documented endpoints. Of the upload only the title is documented."""
        return (
            web.post(IMPORTS, _import_leads),
            web.get(IMPORTS, _list, allow_head=False),
            web.get(IMPORTS + "/{import_code}", _status, allow_head=False),
        )

    async def import_id(self, request: web.Request) -> str | None:
        """Return the ``import_code`` of the path."""
        return request.match_info.get("import_code")

    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """Return True if the header is the expected scheme and the token."""
        scheme = request.app[WORLD].state(LeadsyState).auth_scheme
        return request.headers.get("Authorization") == f"{scheme} {credentials['token']}".lstrip()

    async def unauthorized(self, request: web.Request) -> web.Response:
        """Return a JSON body with 401."""
        return _error(401, "Unauthorized")

    @staticmethod
    def progress_in(answer: Json) -> float | None:
        """Return the share of processed records, or the final progress of a final status."""
        file = answer.get("import_file") if isinstance(answer, Mapping) else None
        if not isinstance(file, Mapping):
            return None
        ended = {"completed": DONE, "failed": FAILED}.get(str(file.get("status_name")).lower())
        if ended is not None:
            return ended
        processed, total = file.get("processed_records"), file.get("total_records")
        if isinstance(processed, int) and isinstance(total, int) and total > 0:
            return processed * DONE / total
        return None

    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, Json]:
        """Return the token as the password."""
        return {"conn_type": _NAME, "password": credentials["token"]}

    def redact_authorization(self, value: str) -> str:
        """Return the header without its token."""
        return "Bearer ***" if value.startswith("Bearer ") else "***"

    @staticmethod
    def new_import_id(kind: str) -> str:
        """Return a code such as ``IMP-7F3A91C2``."""
        return f"IMP-{uuid.uuid4().hex[:8].upper()}"

    def change(self, world: World, changes: Mapping[str, Json]) -> None:
        """
        Change the scheme in front of the token.

        :param changes: ``auth_scheme``: the scheme, initially ``Bearer``. Empty: the token alone.
        """
        auth_scheme = require_fields(changes, "", ("auth_scheme",)).get("auth_scheme")
        if not isinstance(auth_scheme, str):
            raise InvalidInputError("auth_scheme", "must be a string")
        world.state(LeadsyState).auth_scheme = auth_scheme


@dataclass
class LeadsyState:
    """
    The vendor's own state.

    :param auth_scheme: The scheme in front of the token. Empty: the token alone.
    """

    auth_scheme: str = "Bearer"


async def _import_leads(request: web.Request) -> web.Response:
    try:
        files = await uploaded_files(request)
        table = table_of(files[0].content, ",")
    except UnreadableUploadError as error:
        return _error(422, str(error))
    world = request.app[WORLD]
    script = replace(
        Script.steady(world.import_duration), records=len(table.lines), failed_records=_unreadable_lines(table)
    )
    job = world.start_import(_NAME, _KIND, script, Leadsy.new_import_id(_KIND), file_name=files[0].name)
    return web.json_response(_body(world, job, job.script.progress_at(0.0)), status=201)


async def _list(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    jobs = world.imports_of(_NAME)
    files = [_file(world, job, job.reported_progress(Leadsy.progress_in) or 0.0) for job in jobs]
    return web.json_response({"import_files": files})


async def _status(request: web.Request) -> web.Response:
    world, code = request.app[WORLD], request.match_info["import_code"]
    try:
        job = world.find(_NAME, _KIND, code)
    except UnknownImportError:
        return _error(404, "Not Found")
    return web.json_response(world.poll(_NAME, _KIND, code, lambda progress: _body(world, job, progress)))


def _body(world: World, job: SimulatedImport, progress: float) -> Json:
    return {"import_file": _file(world, job, progress)}


def _file(world: World, job: SimulatedImport, progress: float) -> Json:
    status = _status_name(progress)
    over = status in ("completed", "failed")
    reached = DONE if progress >= DONE else job.script.reached_at(job.elapsed())
    processed = int(job.script.records * reached / DONE)
    failed = int(job.script.failed_records * reached / DONE)
    return {
        "id": world.imports_of(_NAME).index(job) + 1,
        "import_code": job.import_id,
        "status": _STATUSES[status],
        "total_records": job.script.records,
        "processed_records": processed,
        "failed_records": failed,
        "status_name": status,
        "started_at": None if status == "pending" else job.timestamp(0),
        "finished_at": job.timestamp(_seconds_to_end(job.script)) if over else None,
        "error_file": _address(job.import_id, "errors.csv") if over and failed else None,
        "original_file": _address(job.import_id, job.file_name or _DEFAULT_FILE_NAME),
        "imported_by": _IMPORTED_BY,
        "success_rate": round((processed - failed) * 100 / processed, 1) if processed else 0,
        "company": _COMPANY,
    }


def _status_name(progress: float) -> str:
    if progress < 0:
        return "failed"
    if progress >= DONE:
        return "completed"
    return "processing" if progress else "pending"


def _seconds_to_end(script: Script) -> float:
    return next((seconds for seconds, progress in script.points if not 0 <= progress < DONE), 0.0)


def _address(code: str, name: str) -> str:
    """Return the address of a file, signed as object stores sign it."""
    signature = hashlib.sha256(f"{code}/{name}".encode()).hexdigest()
    return f"https://files.leadsy.example/imports/{code}/{name}?X-Amz-Expires=900&X-Amz-Signature={signature}"


def _unreadable_lines(table: Table) -> int:
    return sum(len(line.cells) != len(table.header) for line in table.lines)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
