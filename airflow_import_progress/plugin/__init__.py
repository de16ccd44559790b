# SPDX-License-Identifier: Apache-2.0
"""
The "Imports" page in Airflow's UI, and the "Import" tab of a task.

All processes of Airflow load the plugin, but only the API server needs its app. So the app is imported only when
Airflow reads :attr:`ImportProgressPlugin.fastapi_apps`.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)

#: The path of the app, below that of Airflow itself.
URL_PREFIX = "/import-progress"
#: The routes in Airflow's UI: ``/plugin/imports``, and ``.../plugin/import`` below a task.
NAV_ROUTE, TASK_ROUTE = "imports", "import"

# Relative, so that the path of [api] base_url is kept.
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
        # The run id comes last: Airflow 3.1 does not encode ids, and only run ids may contain special characters.
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
        # Catch everything, because an exception would prevent Airflow's API server from starting.
        log.exception(
            "The Imports page is not available, because it does not support this version of Airflow. Waits are not "
            "affected. Install a version of airflow-provider-import-progress that supports this Airflow."
        )
        return []
    return [{"app": app, "url_prefix": URL_PREFIX, "name": "Import progress"}]


#: One list for all reads, because Airflow removes views from it whose routes conflict with another plugin.
_registered_views: list[dict[str, Any]] = [dict(view) for view in _VIEWS]


class _Apps:
    """Create the app on first access; only Airflow's API server reads it."""

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        return _apps()


class _Views:
    """Return the page and the tab, or nothing if the app could not be created."""

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        has_no_app = _apps.cache_info().currsize > 0 and not _apps()
        return [] if has_no_app else _registered_views


class ImportProgressPlugin(AirflowPlugin):
    """Register the page and the tab. Airflow versions without external views register nothing."""

    name = "import_progress"
    if hasattr(AirflowPlugin, "external_views"):
        fastapi_apps: Any = _Apps()
        external_views: Any = _Views()
