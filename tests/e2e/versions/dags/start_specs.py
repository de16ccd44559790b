# SPDX-License-Identifier: Apache-2.0
"""The ids of the tasks that start imports. Both the DAGs and the tests import them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from airflow_import_progress.compat.stored import has_task_state_store

#: Whether the DAGs have all tasks. The record of a start is the same from Airflow 2.11 to 3.2, so that a few tasks show
#: that it works with the versions in between.
HAS_ALL_TASKS = has_task_state_store() or importlib.util.find_spec("airflow.sdk") is None

_POINTS_OF_ALL: Mapping[str, Sequence[str]] = {
    "leaves": ("before_request", "during_request", "after_answer", "while_waiting", "before_end", "after_end"),
    "leaves_poke": ("while_waiting",),
    "locations": ("after_answer", "before_end"),
    "rocketchat_file": ("before_request", "after_answer", "before_end"),
    "rocketchat_users": ("after_answer", "after_run", "before_end"),
    "rocketchat_pending": ("after_answer", "before_end"),
    "zilliz_v1": ("before_request", "after_answer", "before_end"),
    "zilliz_v2": ("after_answer", "before_end"),
    "milvus": ("after_answer", "before_end"),
}
_POINTS_OF_FEW = {"leaves": ("before_request", "after_answer", "while_waiting", "before_end")}

#: The points at which the process of a task is killed, by the kind of its import.
POINTS: Mapping[str, Sequence[str]] = _POINTS_OF_ALL if HAS_ALL_TASKS else _POINTS_OF_FEW
#: The faults in the answer to a start.
FAULTS: Sequence[str] = ("lost_answer", "refused") if HAS_ALL_TASKS else ()


def task_ids(*kinds: str) -> list[str]:
    """Return the ids of the tasks that are killed, of all kinds of imports that begin with one of these."""
    found = [(kind, point) for kind, points in POINTS.items() for point in points]
    return [f"{kind}_{point}" for kind, point in found if kind.startswith(kinds)]


#: What happens to a task while its import is under way.
ACTIONS = ("cleared", "marked", "restarted")
#: Where it happens: tasks that wait for an import, and tasks whose request is being processed.
WAITING = ("deferred", "poke", "reschedule", "rocketchat", "zilliz")
DURING_REQUEST = ("request", "zilliz_request")
