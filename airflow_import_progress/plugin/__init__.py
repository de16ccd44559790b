# SPDX-License-Identifier: Apache-2.0
"""
The "Imports" page in Airflow's UI, and the tab on a task that shows its import.

Every process of Airflow loads its plugins, but only the API server needs the app. So nothing is imported here until
Airflow requests the app.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)

#: Where the app is mounted, below whatever Airflow itself is served under.
URL_PREFIX = "/import-progress"
#: The page's place in Airflow's UI: ``/plugin/imports``, and ``.../plugin/import`` below a task.
NAV_ROUTE, TASK_ROUTE = "imports", "import"

# The addresses are relative, so that they are below the path of [api] base_url, if it has one.
_PAGE = f"{URL_PREFIX[1:]}/"

_VIEWS = (
    {
        "name": "Imports",
        "href": _PAGE,
        "destination": "nav",
        "category": "browse",
        "url_route": NAV_ROUTE,
    },
    {
        "name": "Import",
        # The run's id comes last: Airflow 3.1 puts ids in as they are, and only that one may hold unusual characters.
        "href": f"{_PAGE}?dag_id={{DAG_ID}}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}&run_id={{RUN_ID}}",
        "destination": "task_instance",
        "url_route": TASK_ROUTE,
    },
)


@cache
def _apps() -> list[dict[str, Any]]:
    try:
        from airflow_import_progress.plugin.api import app
    except Exception:
        # Airflow reads the apps while its API server starts, and would not start without this one.
        log.exception(
            "The Imports page is not available, because this Airflow lacks something that it needs. Waits are not "
            "affected. Install a version of airflow-provider-import-progress that supports this Airflow."
        )
        return []
    return [{"app": app, "url_prefix": URL_PREFIX, "name": "Import progress"}]


#: One list for all reads: Airflow takes a view out of it whose route is that of another plugin.
_offered: list[dict[str, Any]] = [dict(view) for view in _VIEWS]


class _Apps:
    """Make the app when Airflow asks for it, which only its API server does."""

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        return _apps()


class _Views:
    """Offer the page and the tab, unless the app behind them could not be made."""

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        has_no_app = _apps.cache_info().currsize > 0 and not _apps()
        return [] if has_no_app else _offered


class ImportProgressPlugin(AirflowPlugin):
    """Register the page and the tab with an Airflow that shows views of plugins, and nothing with an older one."""

    name = "import_progress"
    if hasattr(AirflowPlugin, "external_views"):
        fastapi_apps: Any = _Apps()
        external_views: Any = _Views()
