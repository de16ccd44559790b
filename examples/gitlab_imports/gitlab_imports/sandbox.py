# SPDX-License-Identifier: Apache-2.0
"""GitLab, simulated: imports of projects from export files."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.vendor import (
    DONE,
    WORLD,
    Json,
    RateLimitStatus,
    Script,
    SimulatedImport,
    UnknownImportError,
    Vendor,
)

PROJECTS = "/api/v4/projects"
STATUSES = {"none": 0.0, "scheduled": 0.0, "started": 50.0, "finished": DONE, "failed": -1.0, "canceled": -1.0}
MAX_FAILED_RELATIONS = 100


class GitLab(Vendor):
    """GitLab's imports of projects."""

    name = "gitlab"
    kinds = ("project",)
    credentials: ClassVar[Mapping[str, str]] = {"token": "sandbox-gitlab-token"}
    secret_headers = frozenset({"private-token"})

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the documented endpoints."""
        return (
            web.get("/api/v4/user", _user, allow_head=False),
            web.post(f"{PROJECTS}/import", _import),
            web.get(f"{PROJECTS}/{{id}}/import", _status, allow_head=False),
        )

    async def import_id(self, request: web.Request) -> str | None:
        """Return the id of the project in the path, which may be its full path."""
        project = request.match_info.get("id")
        return None if project is None else request.app[WORLD].state(GitLabState).ids.get(project, project)

    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """Return True if the token is valid."""
        return request.headers.get("PRIVATE-TOKEN") == credentials["token"]

    async def unauthorized(self, request: web.Request) -> web.Response:
        """Return the documented body with 401."""
        return _error(401, "401 Unauthorized")

    def too_many_requests(self, rate_limit: RateLimitStatus) -> web.Response:
        """Return the body of GitLab's rate limiter."""
        return _error(429, {"error": "This endpoint has been requested too many times. Try again later."})

    @staticmethod
    def progress_in(answer: Json) -> float | None:
        """Return a progress for ``import_status``, because GitLab reports no percentage."""
        return STATUSES.get(str(answer.get("import_status"))) if isinstance(answer, Mapping) else None

    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, Json]:
        """Return the token as the password."""
        return {"conn_type": "gitlab", "password": credentials["token"]}

    @staticmethod
    def new_import_id(kind: str) -> str:
        """Return a number, as GitLab's ids are."""
        return str(uuid.uuid4().int % 10**8)


@dataclass
class GitLabState:
    """The ids of the projects by their full paths."""

    ids: dict[str, str] = field(default_factory=dict)


async def _user(request: web.Request) -> web.Response:
    return web.json_response({"id": 1, "username": "sandbox-importer"})


async def _import(request: web.Request) -> web.Response:
    form = await request.post()
    file, path = form.get("file"), form.get("path")
    if not isinstance(file, web.FileField) or not isinstance(path, str):
        return _error(400, "file or path is missing")
    world, full_path = request.app[WORLD], f"{form.get('namespace', 'sandbox-importer')}/{path}"
    with world.locked():
        ids = world.state(GitLabState).ids
        if full_path in ids:
            return _error(400, "Path has already been taken")
        added = world.start_import(
            "gitlab",
            "project",
            _script(file, world.import_duration),
            GitLab.new_import_id("project"),
            file_name=file.filename,
        )
        ids[full_path] = added.import_id
    return web.json_response(_body(added, full_path, 0.0), status=201)


async def _status(request: web.Request) -> web.Response:
    world, project = request.app[WORLD], request.match_info["id"]
    ids = world.state(GitLabState).ids
    project_id = ids.get(project, project)
    full_path = next((path for path, its_id in ids.items() if its_id == project_id), f"sandbox/{project_id}")
    try:
        found = world.find("gitlab", "project", project_id)
        body = world.poll("gitlab", "project", project_id, lambda progress: _body(found, full_path, progress))
    except UnknownImportError:
        return _error(404, "404 Project Not Found")
    return web.json_response(body)


def _script(file: web.FileField, duration: float) -> Script:
    try:
        gzip.decompress(file.file.read())
    except (OSError, EOFError):
        return replace(Script.steady(duration, fail_at=0), reason="not in gzip format")
    return Script.steady(duration)


def _body(import_: SimulatedImport, full_path: str, progress: float) -> Json:
    if progress < 0:
        status = "failed"
    elif progress >= DONE:
        status = "finished"
    else:
        status = "started" if progress else "scheduled"
    name = full_path.rpartition("/")[2]
    return {
        "id": int(import_.import_id) if import_.import_id.isdecimal() else import_.import_id,
        "description": None,
        "name": name,
        "name_with_namespace": full_path.replace("/", " / "),
        "path": name,
        "path_with_namespace": full_path,
        "created_at": import_.timestamp(0),
        "import_status": status,
        "import_type": "gitlab_project",
        "correlation_id": "mezklWso3Za",
        "failed_relations": [] if status == "scheduled" else _failed_relations(import_),
        "import_error": (import_.script.reason or "the import failed") if status == "failed" else None,
        "stats": None,
    }


def _failed_relations(import_: SimulatedImport) -> list[Json]:
    return [
        {
            "id": number,
            "created_at": import_.timestamp(0),
            "exception_class": "RuntimeError",
            "exception_message": "A failure occurred",
            "source": "custom error context",
            "relation_name": "merge_requests",
            "line_number": number,
        }
        for number in range(min(import_.script.failed_records, MAX_FAILED_RELATIONS))
    ]


def _error(status: int, message: Json) -> web.Response:
    return web.json_response({"message": message}, status=status)
