# SPDX-License-Identifier: Apache-2.0
"""What differs between the supported versions of Airflow. No other module asks which one is installed."""

from __future__ import annotations

import importlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

exceptions: Any
try:
    # Newer versions warn about the old place before they drop it.
    exceptions = importlib.import_module("airflow.sdk.exceptions")
    exceptions.TaskDeferralError  # noqa: B018
except (ImportError, AttributeError):
    exceptions = importlib.import_module("airflow.exceptions")

AirflowRescheduleException: type[Exception] = exceptions.AirflowRescheduleException
TaskDeferralError: type[Exception] = exceptions.TaskDeferralError
#: Airflow 2 has no exception of its own for a timeout.
TaskDeferralTimeout: type[Exception] = getattr(exceptions, "TaskDeferralTimeout", TaskDeferralError)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator, Context


def first_poke_at(sensor: BaseSensorOperator, context: Context) -> datetime | None:
    """
    Return when a sensor in reschedule mode poked for the first time, or None if this is the first time.

    :param sensor: The sensor.
    :param context: The context of its execution.
    """
    ti: Any = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        first: datetime | None = ti.get_first_reschedule_date(context)
        return first
    return _first_poke_at_on_airflow_2(sensor, ti)


def _first_poke_at_on_airflow_2(sensor: BaseSensorOperator, ti: Any) -> datetime | None:
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found,unused-ignore]

    # As Airflow 2's own sensors do: retries share one timeout in reschedule mode.
    first: datetime | None = _orig_start_date(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
        try_number=(ti.max_tries or 0) - (sensor.retries or 0) + 1,
    )
    return first


def is_deferral_timeout(error: Exception) -> bool:
    """
    Tell whether a deferral ended because the scheduler's own time for it was over.

    :param error: What Airflow raised when the sensor was resumed.
    """
    if TaskDeferralTimeout is TaskDeferralError:
        return "timeout" in str(error).lower()
    return isinstance(error, TaskDeferralTimeout)


def mapped_arguments(operator: BaseOperator) -> frozenset[str]:
    """
    Return the names of the arguments that a mapped task gave to one of the operators that it expanded to.

    There are none if the operator was not mapped.

    :param operator: The operator, as it is executed.
    """
    # Airflow has no other words for it that all versions share.
    was_mapped = getattr(operator, "_BaseOperator__from_mapped", False)
    return frozenset(getattr(operator, "_BaseOperator__init_kwargs", ()) if was_mapped else ())
