# SPDX-License-Identifier: Apache-2.0
"""The app of the "Imports" page: the page itself, and its content as JSON."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
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

from airflow_import_progress.plugin.waits import (
    MAX_ROWS,
    MAX_SCANNED,
    UNDER_WAY,
    WaitStatus,
    in_states,
    newest_first,
    serialize_history,
    serialize_wait,
    sort_key,
    waits_query,
)

#: The period of the list by default and at most, in days. It is limited because Airflow keeps XComs for ever, and a
#: query of all of them would take ever longer.
DEFAULT_DAYS, MAX_DAYS = 7, 3660

_PAGE = Path(__file__).parent / "page"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _use_airflows_auth_manager(request: Request) -> None:
    # Airflow's filters read it from the app that they run in, which is this one, mounted in Airflow's own.
    request.app.state.auth_manager = get_auth_manager()


# As for Airflow's own list of XComs: access in general or to the named DAG is required first, and then the rows are
# filtered by the DAGs that the user may read.
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
    state: Annotated[WaitStatus | Literal["under_way"] | None, Query()] = None,
    dag_id: Annotated[str | None, Query()] = None,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS,
) -> JSONResponse:
    """
    Return the waits that the user may read: those under way first, then those that ended last.

    The vendor and the exact status are in the value of the XCom, which the database cannot filter. To filter by them,
    up to ``MAX_SCANNED`` of the newest waits are read. ``older`` reports whether there are more.

    :param session: Airflow's database.
    :param readable: The DAGs that the user may read.
    :param vendor: Only imports at this vendor.
    :param state: Only waits with this status, or all that are not over.
    :param dag_id: Only waits of this DAG.
    :param days: Only waits of DAG runs that could start within this number of days, or that are running.
    """
    query = readable.to_orm(waits_query(since=datetime.now(UTC) - timedelta(days=days)))
    states = UNDER_WAY if state == "under_way" else {state} if state else None
    if dag_id is not None:
        query = query.where(XComModel.dag_id == dag_id)
    if states is not None:
        query = in_states(query, states)
    limit = MAX_ROWS if vendor is None and state is None else MAX_SCANNED
    rows = session.execute(newest_first(query, limit + 1)).all()
    serialized = [wait for row in rows[:limit] if (wait := serialize_wait(row)) is not None]
    waits = [
        wait
        for wait in serialized
        if (vendor is None or wait["vendor"] == vendor) and (states is None or wait["state"] in states)
    ]
    return _answer(
        waits=sorted(waits[:MAX_ROWS], key=sort_key),
        looked_at=min(len(rows), limit),
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
    :param readable: The DAGs that the user may read.
    :param dag_id: The DAG of the task.
    :param run_id: The run of the task.
    :param task_id: The task.
    :param map_index: The index of a mapped task; -1: it is not mapped.
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
        raise HTTPException(404, "This task has not published any import.")
    return _answer(wait=wait | {"history": serialize_history(row)})


def _answer(**serialized: Any) -> JSONResponse:
    # As a response, because FastAPI would convert a dict once more, although it is plain JSON already.
    return JSONResponse({"now": time.time(), **serialized})


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    is_data = request.scope["path"].removeprefix(request.scope.get("root_path", "")).startswith("/api/")
    response.headers["Cache-Control"] = "no-store" if is_data else "no-cache"
    return response


def _make_app() -> FastAPI:
    # A column that Airflow has moved raises here, and not when a user opens the page.
    waits_query(since=datetime.now(UTC))
    made = FastAPI(title="Import progress", openapi_url=None)
    made.middleware("http")(_add_headers)
    made.include_router(_router)
    made.mount("/", StaticFiles(directory=_PAGE, html=True))
    return made


app = _make_app()
