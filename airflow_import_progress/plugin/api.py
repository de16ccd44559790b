# SPDX-License-Identifier: Apache-2.0
"""The app of the "Imports" page: the page itself and its JSON API."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import ReadableXComFilterDep, requires_access_dag
from airflow.models.xcom import XComModel
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from airflow_import_progress.plugin.queries import ended_since, newest_first, waits_query, with_status
from airflow_import_progress.plugin.serialization import serialize_history, serialize_wait, sort_key
from airflow_import_progress.plugin.status import UNDER_WAY, WaitStatus

#: Default and maximum age of listed DAG runs, in days. Airflow keeps XComs indefinitely, so a query for all would
#: become slower and slower.
DEFAULT_DAYS, MAX_DAYS = 7, 3660
SECONDS_PER_DAY = 24 * 60 * 60
#: Maximum number of waits in a response.
MAX_ROWS = 200
#: Maximum number of waits that are read from the database to filter them by vendor or status.
MAX_SCANNED = 1000

_PAGE = Path(__file__).parent / "page"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _use_airflows_auth_manager(request: Request) -> None:
    # Airflow's filters read it from the state of the app that handles the request, which is this one.
    request.app.state.auth_manager = get_auth_manager()


# Permissions are checked as for Airflow's own list of XComs: first the general access, or that to the requested DAG.
# Then the rows are filtered by the DAGs that the user may read.
_router = APIRouter(
    prefix="/api",
    dependencies=[
        Depends(_use_airflows_auth_manager),
        Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.XCOM)),
        Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.TASK_INSTANCE)),
    ],
)


@_router.get("/waits")
def list_waits(
    session: SessionDep,
    readable: ReadableXComFilterDep,
    vendor: Annotated[str | None, Query()] = None,
    state: Annotated[list[WaitStatus | Literal["under_way"]] | None, Query()] = None,
    dag_id: Annotated[str | None, Query()] = None,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS,
    ended_within: Annotated[int | None, Query(ge=1, le=MAX_DAYS * SECONDS_PER_DAY)] = None,
) -> JSONResponse:
    """
    Return the waits that the user may see: those under way first, then those that ended last.

    The database cannot filter by vendor, nor fully by status, because both depend on the XCom's value. These filters
    are applied here to the newest waits, up to a limit. ``older`` reports whether waits were left out.

    :param session: Airflow's database.
    :param readable: Restricts the query to the DAGs that the user may read.
    :param vendor: Only imports at this vendor.
    :param state: Only waits with one of these statuses; ``under_way`` stands for all waits that are not over.
    :param dag_id: Only waits of this DAG.
    :param days: Only waits of DAG runs that are not older than this, or that are unfinished; with ``ended_within``,
        also of those that ended within this time.
    :param ended_within: Of the waits that are over, only those that ended within this time, in seconds.
    """
    now = datetime.now(UTC)
    ended_after = None if ended_within is None else now - timedelta(seconds=ended_within)
    query = readable.to_orm(waits_query(since=now - timedelta(days=days), runs_ended_since=ended_after))
    statuses = _statuses(state) if state else None
    if dag_id is not None:
        query = query.where(XComModel.dag_id == dag_id)
    if statuses is not None:
        query = with_status(query, statuses)
    if ended_after is not None:
        query = ended_since(query, ended_after)
    limit = MAX_ROWS if vendor is None and statuses is None else MAX_SCANNED
    rows = session.execute(newest_first(query, limit + 1)).all()
    waits = [
        wait
        for row in rows[:limit]
        if (wait := serialize_wait(row)) is not None
        and (vendor is None or wait["vendor"] == vendor)
        and (statuses is None or wait["state"] in statuses)
    ]
    return _respond(
        waits=sorted(waits[:MAX_ROWS], key=sort_key),
        scanned=min(len(rows), limit),
        older=len(rows) > limit or len(waits) > MAX_ROWS,
    )


@_router.get("/wait")
def show_wait(
    session: SessionDep,
    readable: ReadableXComFilterDep,
    dag_id: Annotated[str, Query()],
    run_id: Annotated[str, Query()],
    task_id: Annotated[str, Query()],
    map_index: Annotated[int, Query()] = -1,
) -> JSONResponse:
    """
    Return one wait with its history.

    :param session: Airflow's database.
    :param readable: Restricts the query to the DAGs that the user may read.
    :param dag_id: The task's DAG.
    :param run_id: The task's DAG run.
    :param task_id: The task.
    :param map_index: The index of a mapped task, or -1.
    """
    query = readable.to_orm(waits_query()).where(
        XComModel.dag_id == dag_id,
        XComModel.run_id == run_id,
        XComModel.task_id == task_id,
        XComModel.map_index == map_index,
    )
    row = session.execute(query).one_or_none()
    wait = serialize_wait(row) if row is not None else None
    if wait is None:
        raise HTTPException(404, "This task has not published the progress of an import.")
    return _respond(wait=wait | {"history": serialize_history(row)})


def _statuses(states: Iterable[WaitStatus | Literal["under_way"]]) -> set[WaitStatus]:
    return {status for state in states for status in (UNDER_WAY if state == "under_way" else (WaitStatus(state),))}


def _respond(**content: Any) -> JSONResponse:
    # Return a response, because FastAPI would otherwise serialize the JSON values once more.
    return JSONResponse({"now": time.time(), **content})


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    is_data = request.scope["path"].removeprefix(request.scope.get("root_path", "")).startswith("/api/")
    response.headers["Cache-Control"] = "no-store" if is_data else "no-cache"
    return response


def _make_app() -> FastAPI:
    # Build the query once, so that a column missing in this Airflow fails at startup instead of in a request.
    waits_query(since=datetime.now(UTC))
    app = FastAPI(title="Import progress", openapi_url=None)
    app.middleware("http")(_add_headers)
    app.include_router(_router)
    app.mount("/", StaticFiles(directory=_PAGE, html=True))
    return app


app = _make_app()
