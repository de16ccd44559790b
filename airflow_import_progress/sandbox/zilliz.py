# SPDX-License-Identifier: Apache-2.0
"""Zilliz Cloud with its APIs v1 and v2, and the open-source Milvus, which has the paths of v2."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.checks import InvalidInputError, Json, require_fields
from airflow_import_progress.sandbox.rates import RateLimitStatus
from airflow_import_progress.sandbox.script import DONE, FAILED, Script
from airflow_import_progress.sandbox.simulated_import import SimulatedImport, UnknownImportError
from airflow_import_progress.sandbox.vendor import WORLD, Vendor
from airflow_import_progress.sandbox.world import World

V1 = "/v1/vector/collections/import"
V2 = "/v2/vectordb/jobs/import"

_NAME = "zilliz"
_CLOUD = "cloud"
_MILVUS = "milvus"
_AUTHORIZATION = "Bearer "
_V1_SUCCESS = 200
_STARTS_AT = 10.0
_AWAITS_COMMIT_AT = 99.0
_COMMITS_IN = 0.05
_BYTES_PER_ROW = 196
_PAGE_SIZE = 10
_DEFAULT_REASON = "the schema of the file does not match the schema of the collection"

_NOT_JSON = (1801, "can only accept json format request")
_NOT_AUTHENTICATED = (1800, "user hasn't authenticated")
_UNKNOWN_KEY = (
    80002,
    "Token not found or unauthorized: The provided token does not exist in our records, or you do not have the"
    " necessary permissions to use this token. Please ensure you have the correct token.",
)
_ILLEGAL_KEY = (21119, "The apikey is illegal.")
_LIMITED = (1807, "request is rejected by limiter")
_IMPORT_FAILED = 2100

# A folder ends with a slash.
_FILE_TYPES = (".json", ".parquet", ".npy", "/")
_FAILS_AT = 60.0

_V1_LIST_STATES = {"Completed": "ImportCompleted", "Failed": "ImportFailed"}
_CLOUD_LIST_STATES = {"Importing": "InProgress"}
_FILE_STATES = {"Importing": "InProgress", "Uncommitted": "Completed", "Committing": "Completed"}
_LOADED_STATES = ("Uncommitted", "Committing", "Completed")

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class Zilliz(Vendor):
    """
    The import jobs of Zilliz Cloud and of Milvus.

    Clients poll a job of the cloud through v1 or v2, and a job of Milvus through v2 without a cluster. A job whose
    script ends at 99 percent waits there for a commit.
    """

    name = _NAME
    kinds = (_CLOUD, _MILVUS)
    credentials: ClassVar[Mapping[str, str]] = {"api_key": "sandbox-zilliz-key", "cluster_id": "in01-sandbox"}
    public_credentials = frozenset({"cluster_id"})
    rate_limit = 1200

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the documented endpoints. The progress has three paths in v2."""
        return (
            web.get("/v1/clusters", _clusters_v1, allow_head=False),
            web.get("/v2/clusters", _clusters_v2, allow_head=False),
            web.post(V1, _answering_refusals(_create_v1)),
            web.get(f"{V1}/get", _answering_refusals(_progress_v1), allow_head=False),
            web.get(f"{V1}/list", _answering_refusals(_list_v1), allow_head=False),
            web.post(f"{V2}/create", _answering_refusals(_create_v2)),
            web.post(f"{V2}/describe", _answering_refusals(_progress_v2)),
            web.post(f"{V2}/getProgress", _answering_refusals(_progress_v2)),
            web.post(f"{V2}/get_progress", _answering_refusals(_progress_v2)),
            web.post(f"{V2}/list", _answering_refusals(_list_v2)),
            web.post(f"{V2}/commit", _answering_refusals(_commit)),
            web.post(f"{V2}/abort", _answering_refusals(_abort)),
        )

    async def import_id(self, request: web.Request) -> str | None:
        """Return the ``jobId`` of the query or the body."""
        try:
            return _text(await _parameters(request), "jobId")
        except _RefusedError:
            return None

    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """Return True if the bearer token is the key, or Milvus's ``user:password``."""
        return request.headers.get("Authorization") == _AUTHORIZATION + credentials["api_key"]

    async def unauthorized(self, request: web.Request) -> web.Response:
        """Return the refusal: for the cloud in the body only, for Milvus in body and HTTP status."""
        if request.path.startswith(V1):
            return _refusal(*_UNKNOWN_KEY)
        try:
            parameters = await _parameters(request)
        except _RefusedError:
            parameters = {}
        if _is_to_cloud(parameters):
            return _refusal(*_ILLEGAL_KEY)
        return _refusal(*_NOT_AUTHENTICATED, status=401)

    @staticmethod
    def progress_in(answer: Json) -> float | None:
        """Return the progress in a body of v1 or v2."""
        data = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(data, Mapping):
            return None
        if data.get("errorMessage") or data.get("state") == "Failed":
            return FAILED
        for name, whole in (("readyPercentage", 1), ("progress", DONE)):
            part = data.get(name)
            if isinstance(part, (int, float)) and not isinstance(part, bool):
                return part * DONE / whole
        return None

    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, Json]:
        """Return the API key as the password and the cluster as an extra."""
        return {
            "conn_type": _NAME,
            "password": credentials["api_key"],
            "extra": {"cluster_id": credentials["cluster_id"]},
        }

    def redact_authorization(self, value: str) -> str:
        """Return the documented header without its key."""
        return f"{_AUTHORIZATION}***" if value.startswith(_AUTHORIZATION) else "***"

    @staticmethod
    def new_import_id(kind: str) -> str:
        """Return a text for the cloud and a number for Milvus."""
        if kind == _CLOUD:
            return f"job-{uuid.uuid4().hex[:22]}"
        return str(450_000_000_000_000_000 + secrets.randbits(52))

    def rate_limit_group(self, request: web.Request) -> str:
        """Return the path: each endpoint has its own limit."""
        return request.path

    def too_many_requests(self, rate_limit: RateLimitStatus) -> web.Response:
        """Return the refusal of the limiter with HTTP status 200."""
        return _refusal(*_LIMITED)

    def change(self, world: World, changes: Mapping[str, Json]) -> None:
        """
        Change the code of a success in v2.

        :param changes: ``success_code``: 0, or 200 as in older servers.
        """
        success_code = require_fields(changes, "", ("success_code",)).get("success_code")
        if success_code not in (0, 200):
            raise InvalidInputError("success_code", "must be 0 or 200")
        world.state(ZillizState).success_code = success_code


@dataclass(frozen=True)
class _JobRequest:
    """
    The request that created a job.

    :param collection: Name of the collection.
    :param files: Names of the files.
    """

    collection: str = "sandbox"
    files: tuple[str, ...] = ("sandbox/1.parquet",)


@dataclass
class ZillizState:
    """
    The vendor's own state.

    :param success_code: The code of a success in v2.
    :param job_requests: The requests of clients that created jobs, by job id.
    """

    success_code: int = 0
    job_requests: dict[str, _JobRequest] = field(default_factory=dict)


class _RefusedError(Exception):
    """Raised to refuse a request with a code and message of the vendor."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = _refusal(code, message)


def _answering_refusals(handler: _Handler) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except _RefusedError as refused:
            return refused.answer

    return handle


def _refusal(code: int, message: str, status: int = 200) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


# Requests


async def _parameters(request: web.Request) -> Mapping[str, Json]:
    if request.method == "GET":
        return request.query
    try:
        parameters = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise _RefusedError(*_NOT_JSON) from error
    if not isinstance(parameters, Mapping):
        raise _RefusedError(*_NOT_JSON)
    return parameters


def _text(parameters: Mapping[str, Json], name: str) -> str | None:
    """Return a parameter. None: it is missing, or empty, as clients send unused parameters."""
    value = parameters.get(name)
    # Accept numbers: the documents show job ids as numbers, too.
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def _required(parameters: Mapping[str, Json], name: str) -> str:
    value = _text(parameters, name)
    if value is None:
        raise _missing(name)
    return value


def _missing(name: str) -> _RefusedError:
    return _RefusedError(1802, f"missing required parameters: {name}")


def _requested_kind(request: web.Request, parameters: Mapping[str, Json]) -> str:
    # Try Milvus even if a cluster is given: it has no clusters and ignores the parameter.
    if not _is_to_cloud(parameters) or _is_about_milvus(request, parameters):
        return _MILVUS
    if _text(parameters, "clusterId") is not None:
        _check_cluster(request, parameters)
    return _CLOUD


def _is_to_cloud(parameters: Mapping[str, Json]) -> bool:
    """Return True if a request of v2 is for the cloud. Only those name a cluster, or a project and region."""
    if _text(parameters, "clusterId") is not None:
        return True
    return _text(parameters, "projectId") is not None and _text(parameters, "regionId") is not None


def _is_about_milvus(request: web.Request, parameters: Mapping[str, Json]) -> bool:
    job_id = _text(parameters, "jobId")
    return any(job.import_id == job_id and job.kind == _MILVUS for job in request.app[WORLD].imports_of(_NAME))


def _check_cluster(request: web.Request, parameters: Mapping[str, Json]) -> None:
    if _required(parameters, "clusterId") != request.app[WORLD].credentials_of(_NAME)["cluster_id"]:
        raise _RefusedError(*_UNKNOWN_KEY)


def _requested_job(request: web.Request, parameters: Mapping[str, Json], kind: str) -> SimulatedImport:
    job_id = _required(parameters, "jobId")
    if kind == _MILVUS and not job_id.isdecimal():
        if job_id.startswith("job-"):
            raise _missing("clusterId")
        raise _RefusedError(_IMPORT_FAILED, f"parse job id failed, jobID={job_id}: importing data failed")
    try:
        return request.app[WORLD].find(_NAME, kind, job_id)
    except UnknownImportError as error:
        message = f"import job does not exist, jobID={job_id}: importing data failed"
        raise _RefusedError(_IMPORT_FAILED, message) from error


async def _clusters_v1(request: web.Request) -> web.Response:
    return _envelope(_clusters(request), _V1_SUCCESS)


async def _clusters_v2(request: web.Request) -> web.Response:
    return _success(request, _clusters(request))


def _clusters(request: web.Request) -> Json:
    cluster_id = request.app[WORLD].credentials_of(_NAME)["cluster_id"]
    clusters = [{"clusterId": cluster_id, "clusterName": "Sandbox", "status": "RUNNING"}]
    return {"count": len(clusters), "currentPage": 1, "pageSize": 10, "clusters": clusters}


# v1


async def _create_v1(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    _check_cluster(request, parameters)
    job_request = _JobRequest(_required(parameters, "collectionName"), (_required(parameters, "objectUrl"),))
    return _envelope({"jobId": _add_job(request, _CLOUD, job_request, DONE)}, _V1_SUCCESS)


async def _progress_v1(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    _check_cluster(request, parameters)
    job = _requested_job(request, parameters, _CLOUD)
    world = request.app[WORLD]
    return web.json_response(world.poll(_NAME, _CLOUD, job.import_id, lambda progress: _body_v1(world, job, progress)))


def _body_v1(world: World, job: SimulatedImport, progress: float) -> Json:
    job_request = _job_request(world, job)
    outcome = {
        "readyPercentage": 1 if progress >= DONE else int(job.script.reached_at(job.elapsed())) / DONE,
        "completeTime": _end(job, progress),
        "errorMessage": _reason(job) if progress < 0 else None,
    }
    files = [
        {"fileName": name, "fileSize": rows * _BYTES_PER_ROW, **outcome}
        for name, rows in zip(job_request.files, _shares(job.script.records, len(job_request.files)), strict=True)
    ]
    data = {
        "collectionName": job_request.collection,
        "fileName": job_request.files[0],
        "fileSize": job.script.records * _BYTES_PER_ROW,
        **outcome,
        "jobId": job.import_id,
        "details": files,
    }
    return {"code": _V1_SUCCESS, "data": data}


async def _list_v1(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    _check_cluster(request, parameters)
    world = request.app[WORLD]
    jobs = [job for job in world.imports_of(_NAME) if job.kind == _CLOUD]
    tasks = [
        {
            "collectionName": _job_request(world, job).collection,
            "jobId": job.import_id,
            "state": _V1_LIST_STATES.get(_reported_state(job)[0], "ImportRunning"),
        }
        for job in jobs
    ]
    return _envelope(_page("tasks", tasks, parameters), _V1_SUCCESS)


# v2 and Milvus


async def _create_v2(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    kind = _requested_kind(request, parameters)
    job_request = _JobRequest(_required(parameters, "collectionName"), _files(parameters, kind))
    options = parameters.get("options")
    awaits_commit = isinstance(options, Mapping) and str(options.get("auto_commit")).lower() == "false"
    job_id = _add_job(request, kind, job_request, _AWAITS_COMMIT_AT if awaits_commit else DONE)
    return _success(request, {"jobId": job_id})


async def _progress_v2(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    kind = _requested_kind(request, parameters)
    job = _requested_job(request, parameters, kind)
    world = request.app[WORLD]
    body = _cloud_data if kind == _CLOUD else _milvus_data
    code = world.state(ZillizState).success_code
    return web.json_response(
        world.poll(_NAME, kind, job.import_id, lambda progress: {"code": code, "data": body(world, job, progress)})
    )


async def _list_v2(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    kind = _requested_kind(request, parameters)
    collection = _text(parameters, "collectionName")
    world = request.app[WORLD]
    jobs = [
        job
        for job in world.imports_of(_NAME)
        if job.kind == kind and collection in (None, _job_request(world, job).collection)
    ]
    if kind == _CLOUD:
        return _success(request, _page("records", [_cloud_record(world, job) for job in jobs], parameters))
    return _success(request, {"records": [_milvus_record(world, job) for job in jobs]})


async def _commit(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    job = _requested_job(request, parameters, _requested_kind(request, parameters))
    world = request.app[WORLD]
    state, _ = _reported_state(job)
    if state != "Uncommitted":
        raise _RefusedError(_IMPORT_FAILED, f"cannot commit a job that is {state}: importing data failed")
    now = job.elapsed()
    seconds = world.import_duration * _COMMITS_IN
    job.script = replace(job.script, answers=(), points=((now, _AWAITS_COMMIT_AT), (now + seconds, DONE)))
    return _success(request, {})


async def _abort(request: web.Request) -> web.Response:
    parameters = await _parameters(request)
    job = _requested_job(request, parameters, _requested_kind(request, parameters))
    state, _ = _reported_state(job)
    if state in ("Completed", "Failed", "Committing"):
        raise _RefusedError(_IMPORT_FAILED, f"cannot abort a job that is {state}: importing data failed")
    now = job.elapsed()
    points = ((now, job.script.reached_at(now)), (now, FAILED))
    job.script = replace(job.script, answers=(), points=points, reason="aborted by the user")
    return _success(request, {})


def _files(parameters: Mapping[str, Json], kind: str) -> tuple[str, ...]:
    name = "files"
    if kind == _CLOUD:
        if (one := _text(parameters, "objectUrl")) is not None:
            return (one,)
        name = "dataPaths" if _text(parameters, "volumeName") is not None else "objectUrls"
    groups = parameters.get(name)
    if not isinstance(groups, list):
        raise _missing(name)
    # Join each group: it is one file, or a file per column.
    files = [" ".join(map(str, group)) for group in groups if isinstance(group, list) and group]
    if not files:
        raise _missing(name)
    return tuple(files)


def _cloud_data(world: World, job: SimulatedImport, progress: float) -> Json:
    job_request = _job_request(world, job)
    state, percent = _state(job.script, progress)
    outcome = {"completeTime": _end(job, progress) or "", "reason": _reason(job) if progress < 0 else ""}
    files = [
        {
            "fileName": name,
            "fileSize": rows * _BYTES_PER_ROW,
            "state": _FILE_STATES.get(state, state),
            "progress": _loaded(state, percent, 100),
            **outcome,
        }
        for name, rows in zip(job_request.files, _shares(job.script.records, len(job_request.files)), strict=True)
    ]
    return {
        "jobId": job.import_id,
        "collectionName": job_request.collection,
        "fileName": job_request.files[0],
        "fileSize": job.script.records * _BYTES_PER_ROW,
        "state": state,
        "progress": percent,
        **outcome,
        "totalRows": job.script.records,
        "details": files,
    }


def _milvus_data(world: World, job: SimulatedImport, progress: float) -> Json:
    job_request = _job_request(world, job)
    state, percent = _state(job.script, progress)
    failed = state == "Failed"
    outcome = {"completeTime": _end(job, progress) or "", **({"reason": _reason(job)} if failed else {})}
    files = [
        {
            "fileName": f"[{name}]",
            "fileSize": rows * _BYTES_PER_ROW,
            "state": _FILE_STATES.get(state, state),
            "progress": _loaded(state, percent, 100),
            "importedRows": _loaded(state, percent, rows),
            "totalRows": rows,
            **outcome,
        }
        for name, rows in zip(job_request.files, _shares(job.script.records, len(job_request.files)), strict=True)
    ]
    return {
        "jobId": job.import_id,
        "createTime": job.timestamp(0),
        "collectionName": job_request.collection,
        "state": state,
        "progress": percent,
        "importedRows": sum(file["importedRows"] for file in files),
        "totalRows": 0 if failed else job.script.records,
        "fileSize": sum(file["fileSize"] for file in files),
        "details": files,
        **outcome,
    }


def _cloud_record(world: World, job: SimulatedImport) -> Json:
    state, _ = _reported_state(job)
    return {
        "collectionName": _job_request(world, job).collection,
        "jobId": job.import_id,
        "state": _CLOUD_LIST_STATES.get(state, state),
    }


def _milvus_record(world: World, job: SimulatedImport) -> Json:
    state, percent = _reported_state(job)
    return {
        "jobId": job.import_id,
        "collectionName": _job_request(world, job).collection,
        "state": state,
        "progress": percent,
        **({"reason": _reason(job)} if state == "Failed" else {}),
    }


def _success(request: web.Request, data: Json) -> web.Response:
    return _envelope(data, request.app[WORLD].state(ZillizState).success_code)


# Jobs


def _add_job(request: web.Request, kind: str, job_request: _JobRequest, end: float) -> str:
    world = request.app[WORLD]
    script = Script(((0.0, 0.0), (world.import_duration, end)))
    unreadable = [name for name in job_request.files if not name.lower().endswith(_FILE_TYPES)]
    if unreadable:
        reason = f"unexpected file type, files={unreadable}: importing data failed"
        script = replace(Script.steady(world.import_duration, fail_at=_FAILS_AT), reason=reason)
    job = world.start_import(_NAME, kind, script, Zilliz.new_import_id(kind), file_name=job_request.files[0])
    world.state(ZillizState).job_requests[job.import_id] = job_request
    return job.import_id


def _job_request(world: World, job: SimulatedImport) -> _JobRequest:
    return world.state(ZillizState).job_requests.get(job.import_id, _JobRequest())


def _reported_state(job: SimulatedImport) -> tuple[str, int]:
    return _state(job.script, job.reported_progress(Zilliz.progress_in) or 0.0)


def _state(script: Script, progress: float) -> tuple[str, int]:
    """Return the state of a job and its percentage as the vendor rounds it."""
    if progress < 0:
        return "Failed", 0
    if progress >= DONE:
        return "Completed", 100
    if progress >= _AWAITS_COMMIT_AT == script.points[-1][1]:
        return "Uncommitted", 99
    if progress >= _AWAITS_COMMIT_AT == script.points[0][1]:
        return "Committing", 99
    return ("Pending" if progress < _STARTS_AT else "Importing"), int(progress)


def _end(job: SimulatedImport, progress: float) -> str | None:
    """Return the time of a job's success. None: it has not succeeded."""
    if progress < DONE:
        return None
    return job.timestamp(next((seconds for seconds, point in job.script.points if point >= DONE), 0.0))


def _reason(job: SimulatedImport) -> str:
    return job.script.reason or _DEFAULT_REASON


def _shares(rows: int, files: int) -> list[int]:
    """Divide the rows among the files. The first files get the remainder."""
    each, rest = divmod(rows, files)
    return [each + (index < rest) for index in range(files)]


def _loaded(state: str, percent: int, whole: int) -> int:
    """Return the loaded part of a file, which is complete before the job is."""
    if state in _LOADED_STATES:
        return whole
    return whole * percent // 100 if state == "Importing" else 0


def _page(name: str, records: list[Json], parameters: Mapping[str, Json]) -> Json:
    size = _positive(parameters, "pageSize", _PAGE_SIZE)
    current = _positive(parameters, "currentPage", 1)
    shown = records[(current - 1) * size : current * size]
    return {name: shown, "count": len(records), "currentPage": current, "pageSize": size}


def _positive(parameters: Mapping[str, Json], name: str, default: int) -> int:
    text = _text(parameters, name)
    return int(text) if text is not None and text.isdecimal() and int(text) > 0 else default


def _envelope(data: Json, code: int) -> web.Response:
    return web.json_response({"code": code, "data": data})
