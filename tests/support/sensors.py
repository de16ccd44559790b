# SPDX-License-Identifier: Apache-2.0
"""Run sensors and triggers as Airflow does, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import DAG, TaskDeferred
from airflow.triggers.base import TaskSuccessEvent

from airflow_import_progress.clock import Clock
from airflow_import_progress.compat import AirflowRescheduleException
from airflow_import_progress.triggers import import_progress as trigger_module


class FakeClock(Clock):
    """A clock that advances only when the code under test sleeps."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def loop_time(self) -> float:
        return self.now - 1_800_000_000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float, woken_by: object = None) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)

    def expire(self, timer: asyncio.Timeout, seconds: float) -> None:
        """Do nothing: no wait is cut short."""


class TaskInstance:
    """The attributes of a task instance that a sensor reads."""

    map_index = -1

    def __init__(self, clock):
        self.first = datetime.fromtimestamp(clock.now, UTC)
        self.rescheduled = False

    def get_first_reschedule_date(self, context):
        return self.first if self.rescheduled else None

    def xcom_push(self, key, value):
        """Do nothing; a sensor of Airflow 2 stores the address of the task's link with it."""


def a_dag():
    """Return a DAG to add sensors to."""
    return DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def inflated(path, kwargs):
    """Return a trigger as Airflow restores it from its database."""
    return import_string(path)(**json.loads(json.dumps(kwargs)))


def fired(trigger):
    """Return the only event of a trigger, as a worker gets it."""

    async def events():
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event if isinstance(event, TaskSuccessEvent) else json.loads(json.dumps(event.payload))


def a_task_instance():
    """Return a task instance as the triggerer gives it to a trigger."""
    return SimpleNamespace(dag_id="d", task_id="wait", run_id="r", map_index=-1, try_number=1)


def wait_without_a_worker(sensor, clock, ti):
    """Run a sensor as the scheduler and the triggerer do. A worker is used only to resume it."""
    start, pushed = sensor.start_trigger_args, []

    async def push_result(task_instance, result):
        pushed.append(result)

    trigger = inflated(start.trigger_cls, start.trigger_kwargs)
    trigger.timeout_after = datetime.fromtimestamp(clock.now, UTC) + start.timeout
    trigger.task_instance = a_task_instance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trigger_module, "push_result", push_result)
        event = fired(trigger)
    if isinstance(event, TaskSuccessEvent):
        (result,) = pushed
        return result
    return sensor.resume_execution(start.next_method, {"event": event}, {"ti": ti})


def wait_to_the_end(sensor, mode, clock, ti):
    """Run one try of a sensor as Airflow does, and return its result."""
    if mode == "without_workers" and sensor.start_from_trigger:
        return wait_without_a_worker(sensor, clock, ti)
    while True:
        try:
            return sensor.execute({"ti": ti})
        except AirflowRescheduleException as rescheduled:
            clock.now = max(clock.now, rescheduled.reschedule_date.timestamp())
            ti.rescheduled = True
        except TaskDeferred as deferred:
            event = fired(inflated(*deferred.trigger.serialize()))
            kwargs = {**(deferred.kwargs or {}), "event": event}
            return sensor.resume_execution(deferred.method_name, kwargs, {"ti": ti})
