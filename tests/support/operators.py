# SPDX-License-Identifier: Apache-2.0
"""Run the tries of an operator's task as Airflow does, on a clock that does not wait."""

from __future__ import annotations

import json
from functools import partial

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_import_progress.compat import AirflowRescheduleException
from airflow_import_progress.compat.stored import has_task_state_store
from airflow_import_progress.starting.store import STATE_KEY
from tests.support.behaviors import MODES
from tests.support.sensors import TaskInstance, a_dag, fired, inflated

#: A file of leaves.
LEAVES = (
    "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    "Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
)
#: The fields of a connection at which nothing answers.
UNREACHABLE = {"host": "127.0.0.1", "port": 9}


class Killed(BaseException):
    """The end of a worker's process."""


def die(*args, **kwargs):
    raise Killed


class MemoryStateStore:
    """The task state store of one task instance, in memory."""

    def __init__(self):
        self.values = {}

    def get(self, key, default=None):
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key, value, *, retention=None):
        self.values[key] = json.dumps(value)

    def delete(self, key):
        self.values.pop(key, None)


class OperatorTask:
    """
    One task instance of an operator, whose state store or Variable survives its tries.

    :param clock: The clock.
    :param variables: The Variables, for Airflow before 3.3.
    :param mode: One of :data:`.behaviors.OPERATOR_MODES`.
    :param operator_class: The operator.
    :param arguments: Its arguments.
    """

    def __init__(self, clock, variables, mode, operator_class, **arguments):
        self.clock = clock
        self.variables = variables
        self.operator_class = operator_class
        self.arguments = {"poke_interval": 30, "timeout": 3600, **MODES[mode], **arguments}
        self.state_store = MemoryStateStore()
        self.max_tries = 3
        self.ti = TaskInstance(clock)
        self.tries = 0
        #: Whether the triggerer has a task instance, for which it publishes.
        self.is_published = False
        #: The operator of the current try.
        self.operator = None
        #: All that Airflow stored of the deferrals: triggers, their events and the arguments of their tasks.
        self.deferrals = []

    def run(self):
        """Run one try to its end, and return its result."""
        with a_dag():
            self.operator = self.operator_class(task_id="import", **self.arguments)
        self.tries += 1
        ti = self.ti
        ti.try_number = self.tries
        ti.dag_id, ti.run_id, ti.task_id, ti.max_tries = "d", "r", "import", self.max_tries
        context = {"ti": ti}
        if has_task_state_store():
            context["task_state_store"] = self.state_store
        call = partial(self.operator.execute, context)
        while True:
            try:
                return call()
            except AirflowRescheduleException as rescheduled:
                self.clock.now = max(self.clock.now, rescheduled.reschedule_date.timestamp())
                ti.rescheduled = True
            except TaskDeferred as deferred:
                trigger = inflated(*deferred.trigger.serialize())
                if self.is_published:
                    trigger.task_instance = ti
                event = fired(trigger)
                kwargs = {**(deferred.kwargs or {}), "event": event}
                self.deferrals.append((deferred.trigger.serialize(), kwargs))
                call = partial(self.operator.resume_execution, deferred.method_name, kwargs, context)

    def clear(self):
        """Clear the task as a person does."""
        self.max_tries += 4
        self.ti = TaskInstance(self.clock)

    @property
    def stored(self):
        """All that is stored, as text."""
        return f"{self.state_store.values} {self.variables} {self.deferrals}"

    @property
    def record(self):
        """The record of the start, or None."""
        if has_task_state_store():
            return self.state_store.get(STATE_KEY)
        records = [json.loads(value)["start"] for value in self.variables.values()]
        return records[0] if records else None
