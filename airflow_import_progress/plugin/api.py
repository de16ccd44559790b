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

from airflow_import_progress.plugin.durations import is_slow, usual_took
from airflow_import_progress.plugin.queries import (
    SortKey,
    at_vendor,
    candidates_query,
    counts_query,
    durations_query,
    ended_since,
    matching,
    page_query,
    slowest_query,
    waits_query,
    with_status,
)
from airflow_import_progress.plugin.serialization import serialize_duration, serialize_history, serialize_wait
from airflow_import_progress.plugin.status import UNDER_WAY, WENT_WRONG, WaitStatus

#: Default and maximum age of listed DAG runs, in days. Airflow keeps XComs indefinitely, so a query for all would
#: become slower and slower.
DEFAULT_DAYS, MAX_DAYS = 7, 3660
SECONDS_PER_DAY = 24 * 60 * 60
#: Default and maximum number of waits in a response.
DEFAULT_LIMIT, MAX_LIMIT = 50, 200
#: Maximum number of waits before a page: reading on takes the database longer and longer.
MAX_OFFSET = 100_000
#: Maximum length of a text to search for.
MAX_SEARCH_LENGTH = 200
#: The end of the times that Python can represent in any time zone: the day before the year 10000.
MAX_TIME = 253402214400
#: Greatest map index that each database can store.
MAX_MAP_INDEX = 2**31 - 1
#: Texts without NUL, which PostgreSQL refuses.
TEXT_PATTERN = r"^[^\x00]*$"
#: Names for several statuses.
GROUPS = {"under_way": UNDER_WAY, "went_wrong": WENT_WRONG}

SORT_PATTERN = f"^(-?({'|'.join(SortKey)}))?$"

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


def _filtered(
    readable: ReadableXComFilterDep,
    search: Annotated[str, Query(max_length=MAX_SEARCH_LENGTH, pattern=TEXT_PATTERN)] = "",
    vendor: Annotated[str | None, Query(pattern=TEXT_PATTERN)] = None,
    state: Annotated[list[WaitStatus | Literal["under_way", "went_wrong"]] | None, Query()] = None,
    dag_id: Annotated[str | None, Query()] = None,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS,
    ended_within: Annotated[int | None, Query(ge=1, le=MAX_DAYS * SECONDS_PER_DAY)] = None,
) -> Any:
    """
    Return a query for the waits that the user may see and that pass the filters.

    :param readable: Restricts the query to the DAGs that the user may read.
    :param search: Only waits whose import id, DAG id, task id, run id or message contains this text.
    :param vendor: Only imports at this vendor.
    :param state: Only waits with one of these statuses or of these groups of statuses.
    :param dag_id: Only waits of this DAG.
    :param days: Only waits of DAG runs that are not older than this, or that are unfinished; with ``ended_within``,
        also of those that ended within this time.
    :param ended_within: Of the waits that are over, only those that ended within this time, in seconds.
    """
    now = datetime.now(UTC)
    ended_after = None if ended_within is None else now - timedelta(seconds=ended_within)
    query = readable.to_orm(candidates_query(now - timedelta(days=days), runs_ended_since=ended_after))
    if search := search.strip():
        query = matching(query, search)
    if vendor is not None:
        query = at_vendor(query, vendor)
    if state:
        query = with_status(query, _statuses(state))
    if dag_id is not None:
        query = query.where(XComModel.dag_id == dag_id)
    return query if ended_after is None else ended_since(query, ended_after)


@_router.get("/waits")
def list_waits(
    session: SessionDep,
    readable: ReadableXComFilterDep,
    filtered: Annotated[Any, Depends(_filtered)],
    sort: Annotated[str, Query(pattern=SORT_PATTERN)] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    day_began_at: Annotated[float | None, Query(ge=0, le=MAX_TIME)] = None,
) -> JSONResponse:
    """
    Return one page of the waits that the user may see.

    ``next_offset`` is the offset of the next page, or None if there is none.

    :param session: Airflow's database.
    :param readable: Restricts the summary to the DAGs that the user may read.
    :param filtered: The query for the waits that pass the filters.
    :param sort: The column to sort by, after a hyphen for descending order. Default: those under way first, then those
        that ended last.
    :param offset: Number of waits before the page.
    :param limit: Maximum number of waits on the page.
    :param day_began_at: When the day of the user began, in seconds since the epoch: asks for the ``summary`` of all
        waits of that day that the user may see, regardless of the filters.
    """
    key = SortKey(sort.removeprefix("-")) if sort else None
    descending = sort.startswith("-")
    page = page_query(filtered, time.time(), sort=key, descending=descending, offset=offset, limit=limit + 1)
    rows = session.execute(page).all()
    summary = {} if day_began_at is None else {"summary": _summary(session, readable, day_began_at)}
    return _respond(
        waits=[wait for row in rows[:limit] if (wait := serialize_wait(row)) is not None],
        next_offset=offset + limit if len(rows) > limit and offset + limit <= MAX_OFFSET else None,
        **summary,
    )


def _summary(session: SessionDep, readable: ReadableXComFilterDep, day_began_at: float) -> dict[str, Any]:
    earliest = datetime.now(UTC) - timedelta(days=DEFAULT_DAYS)
    # Not earlier, because the summary would cost more with each day.
    day_began = max(earliest, datetime.fromtimestamp(day_began_at, UTC))
    candidates = readable.to_orm(candidates_query(earliest, runs_ended_since=day_began))
    by_dag = session.execute(counts_query(candidates, day_began)).all()
    slowest = map(serialize_wait, session.execute(slowest_query(candidates, day_began, time.time())))
    return {
        **{name: sum(int(getattr(row, name)) for row in by_dag) for name in ("under_way", "ended", "went_wrong")},
        "dag_ids": [row.dag_id for row in by_dag],
        "slowest": next((wait for wait in slowest if wait is not None), None),
    }


@_router.get("/wait")
def show_wait(
    session: SessionDep,
    readable: ReadableXComFilterDep,
    dag_id: Annotated[str, Query()],
    run_id: Annotated[str, Query(pattern=TEXT_PATTERN)],
    task_id: Annotated[str, Query(pattern=TEXT_PATTERN)],
    map_index: Annotated[int, Query(ge=-1, le=MAX_MAP_INDEX)] = -1,
) -> JSONResponse:
    """
    Return one wait with its history and the durations of the task's earlier waits.

    :param session: Airflow's database.
    :param readable: Restricts the query to the DAGs that the user may read.
    :param dag_id: The task's DAG.
    :param run_id: The task's DAG run.
    :param task_id: The task.
    :param map_index: The index of a mapped task, or -1.
    """
    query = readable.to_orm(waits_query(time.time())).where(
        XComModel.dag_id == dag_id,
        XComModel.run_id == run_id,
        XComModel.task_id == task_id,
        XComModel.map_index == map_index,
    )
    row = session.execute(query).one_or_none()
    wait = serialize_wait(row) if row is not None else None
    if wait is None:
        raise HTTPException(404, "This task has not published the progress of an import.")
    earlier = session.execute(durations_query(dag_id, run_id, task_id, map_index)).all()
    durations = [serialize_duration(row) for row in reversed(earlier)]
    return _respond(
        wait=wait
        | {
            "history": serialize_history(row),
            "durations": durations,
            "usual_took": usual_took(durations),
            "is_slow": wait["state"] != WaitStatus.RETRYING and is_slow(wait["took"], durations),
        }
    )


def _statuses(states: Iterable[str]) -> set[WaitStatus]:
    return {status for state in states for status in GROUPS.get(state) or (WaitStatus(state),)}


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
    page_query(candidates_query(datetime.now(UTC)), time.time(), sort=None, descending=False, offset=0, limit=1)
    app = FastAPI(title="Import progress", openapi_url=None)
    app.middleware("http")(_add_headers)
    app.include_router(_router)
    app.mount("/", StaticFiles(directory=_PAGE, html=True))
    return app


app = _make_app()
