# SPDX-License-Identifier: Apache-2.0
"""The app behind the "Imports" page: the page itself, and what it shows as JSON."""

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
    MOST_LOOKED_AT,
    MOST_TOLD,
    UNDER_WAY,
    State,
    in_states,
    newest_first,
    order,
    tell,
    tell_history,
    waits_query,
)

#: How far back the list goes by default and at most, in days: Airflow keeps XComs for ever, and a query of all of them
#: would take ever longer.
DEFAULT_DAYS, MAX_DAYS = 7, 3660

_PAGE = Path(__file__).parent / "page"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _use_airflows_auth_manager(request: Request) -> None:
    # Airflow's filters look for it in the app that they run in, and this app is not Airflow's own but mounted in it.
    request.app.state.auth_manager = get_auth_manager()


# As for Airflow's own list of XComs: general access is asked for first, or that to the DAG which is named, and then
# the rows are filtered by the DAGs that the user may read.
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
    state: Annotated[State | Literal["under_way"] | None, Query()] = None,
    dag_id: Annotated[str | None, Query()] = None,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS,
) -> JSONResponse:
    """
    Return the waits that the user may see: those under way first, then those that ended last.

    The vendor, and which of the states that share a task's state it is, stand in the XCom's value. For these the
    newest waits are looked at here, more than are told but not all; ``older`` says whether there are others.

    :param session: Airflow's database.
    :param readable: What the user may read.
    :param vendor: Only imports at this vendor.
    :param state: Only waits in this state, or all that are not over.
    :param dag_id: Only waits of this DAG.
    :param days: Only waits of DAG runs that could start within so many days, or that are running.
    """
    query = readable.to_orm(waits_query(since=datetime.now(UTC) - timedelta(days=days)))
    states = UNDER_WAY if state == "under_way" else {state} if state else None
    if dag_id is not None:
        query = query.where(XComModel.dag_id == dag_id)
    if states is not None:
        query = in_states(query, states)
    limit = MOST_TOLD if vendor is None and state is None else MOST_LOOKED_AT
    rows = session.execute(newest_first(query, limit + 1)).all()
    told = [wait for row in rows[:limit] if (wait := tell(row)) is not None]
    waits = [
        wait
        for wait in told
        if (vendor is None or wait["vendor"] == vendor) and (states is None or wait["state"] in states)
    ]
    return _tell(
        waits=sorted(waits[:MOST_TOLD], key=order),
        looked_at=min(len(rows), limit),
        older=len(rows) > limit or len(waits) > MOST_TOLD,
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
    Return one wait, with the percentages that it has seen.

    :param session: Airflow's database.
    :param readable: What the user may read.
    :param dag_id: The DAG of the task.
    :param run_id: The run of the task.
    :param task_id: The task.
    :param map_index: Which of the tasks it is that a mapped one expanded to.
    """
    query = readable.to_orm(waits_query()).where(
        XComModel.dag_id == dag_id,
        XComModel.run_id == run_id,
        XComModel.task_id == task_id,
        XComModel.map_index == map_index,
    )
    row = session.execute(query).one_or_none()
    wait = tell(row) if row is not None else None
    if wait is None:
        raise HTTPException(404, "This task has told nothing of an import.")
    return _tell(wait=wait | {"history": tell_history(row)})


def _tell(**told: Any) -> JSONResponse:
    # As a response: FastAPI would go through all of it once more, although it is JSON already.
    return JSONResponse({"now": time.time(), **told})


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    is_data = request.scope["path"].removeprefix(request.scope.get("root_path", "")).startswith("/api/")
    response.headers["Cache-Control"] = "no-store" if is_data else "no-cache"
    return response


def _make_app() -> FastAPI:
    # A column that Airflow has moved is found here, and not by whoever opens the page.
    waits_query(since=datetime.now(UTC))
    made = FastAPI(title="Import progress", openapi_url=None)
    made.middleware("http")(_add_headers)
    made.include_router(_router)
    made.mount("/", StaticFiles(directory=_PAGE, html=True))
    return made


app = _make_app()
