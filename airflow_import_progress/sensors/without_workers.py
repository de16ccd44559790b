# SPDX-License-Identifier: Apache-2.0
"""
Waits without workers: which sensors can start and end in the triggerer, and how.

Only literals and the results of other tasks are resolved in the triggerer. Airflow 3.3 renders templates there as well,
but some make the trigger fail and some make it hang, so a wait with a template starts on a worker.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from airflow_import_progress.compat import (
    has_listeners,
    has_post_execute,
    has_pre_execute,
    source_of,
    waits_without_workers,
)
from airflow_import_progress.compat.stored import has_own_xcom_backend
from airflow_import_progress.sensors.arguments import NOT_GIVEN, is_resolved_later
from airflow_import_progress.sensors.identification import IdentifyingSensor

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context


class _StartFromTrigger:
    """Whether the wait starts in the triggerer: Airflow reads it when it stores a DAG, after authors and policies."""

    def __get__(self, sensor: SensorWithoutWorkers | None, _: type) -> bool:
        # Airflow reads it from the class of a mapped sensor, which starts on a worker.
        if sensor is None or not sensor._is_complete:
            return False
        return sensor._wants_trigger_start and sensor._reason_to_start_on_worker() is None

    def __set__(self, sensor: SensorWithoutWorkers, value: bool) -> None:
        sensor._wants_trigger_start = value


class _StartTriggerArgs:
    """The trigger that starts a wait without a worker, or None."""

    def __get__(self, sensor: SensorWithoutWorkers | None, _: type) -> Any:
        return sensor._start_trigger_args() if sensor is not None and sensor.start_from_trigger else None


class SensorWithoutWorkers(IdentifyingSensor):
    """Base of a sensor that can start and end in the triggerer."""

    start_from_trigger: Any = _StartFromTrigger()
    start_trigger_args: Any = _StartTriggerArgs()
    #: Whether the waits of a class start in the triggerer unless an argument says otherwise.
    _wants_trigger_start_by_default: ClassVar[bool] = False
    # Not named as the arguments: where a plugin has a listener, Airflow refuses a DAG with an operator that has an
    # attribute end_from_trigger, even in versions that do not use it.
    _wants_trigger_start = False
    _wants_trigger_end = False
    #: The reason to start on a worker, computed before rendering, while the templates are still visible.
    _reason_before_rendering: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(by_default := vars(cls).get("start_from_trigger"), bool):
            # In place of the descriptor, it would start even waits that only a worker can start.
            cls._wants_trigger_start_by_default = by_default
            del cls.start_from_trigger

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Begin a mapped sensor.

        :param kwargs: The arguments that all its instances share. ``start_from_trigger`` is ignored.
        """
        # Airflow does not start mapped tasks in the triggerer. The argument would only make it load the whole DAG for
        # each instance that is deferred.
        kwargs.pop("start_from_trigger", None)
        return super().partial(**kwargs)

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """
        Render the templates, and remember the reason to start on a worker.

        :param context: The context of the execution.
        :param jinja_env: The environment of the templates; None: the DAG's.
        """
        if self._wants_trigger_start:
            self._reason_before_rendering = self._reason_to_start_on_worker()
        super().render_template_fields(context, jinja_env)

    def _trigger_arguments(self) -> dict[str, Any]:
        """Return the arguments that the triggers of all runs share."""
        raise NotImplementedError

    def _deferral_timeout(self, seconds: float) -> timedelta:
        """Return Airflow's timeout for a deferral that the trigger ends after some seconds."""
        from airflow_import_progress.triggers.import_progress import LAST_POLL_GRACE

        # The trigger keeps the deadline. Airflow's own is the back-stop for a wait that no triggerer runs.
        return timedelta(seconds=seconds + 2 * LAST_POLL_GRACE)

    def _start_trigger_args(self) -> Any:
        from airflow.triggers.base import StartTriggerArgs

        from airflow_import_progress.triggers.start import StartImportProgressTrigger

        values = {
            field.name: value
            for field in fields(self.import_class)
            if (value := getattr(self, field.name)) is not NOT_GIVEN
        }
        xcoms = {name: source_of(value) for name, value in values.items() if is_resolved_later(value)}
        return StartTriggerArgs(
            trigger_cls=class_path(StartImportProgressTrigger),
            trigger_kwargs={
                **self._trigger_arguments(),
                "import_fields": {name: _as_json(value) for name, value in values.items() if name not in xcoms},
                "xcoms": {name: list(source) for name, source in xcoms.items() if source is not None},
                "conn_id": self._conn_id,
                "timeout": float(self.timeout),
            },
            next_method="execute_complete",
            timeout=self._deferral_timeout(self.timeout),
        )

    def _ends_in_triggerer(self) -> bool:
        return self._wants_trigger_end and self._reason_to_end_on_worker() is None

    def _log_what_takes_a_worker(self) -> None:
        if self._wants_trigger_start and (reason := self._reason_before_rendering or self._reason_to_start_on_worker()):
            self.log.info("start_from_trigger: the wait starts on a worker, because %s.", reason)
        if self._wants_trigger_end and (reason := self._reason_to_end_on_worker()):
            self.log.info("end_from_trigger: the wait ends on a worker, because %s.", reason)

    def _reason_to_start_on_worker(self) -> str | None:
        if not waits_without_workers():
            return "it needs Airflow 3.3 or later"
        if not self.has_dag():  # type: ignore[no-untyped-call]
            return "it is not in a DAG"
        if self.get_closest_mapped_task_group() is not None:
            return "it is in a mapped task group"
        if self.execution_timeout is not None:
            return "execution_timeout would count for the whole wait"
        if has_pre_execute(self):
            return "only a worker calls pre_execute"
        if method := self._overridden("pre_execute", "execute", "render_template_fields", "get_import", "get_hook"):
            return f"only a worker calls {method}"
        if self.on_execute_callback:
            return "only a worker calls on_execute_callback"
        if has_own_xcom_backend():
            return "the XCom backend would read results on the event loop of all waits"
        for name in self.template_fields:
            value = getattr(self, name)
            if is_resolved_later(value) and (reason := self._reason_to_resolve_on_worker(name, value)):
                return f"{name} {reason}"
        return None

    def _reason_to_resolve_on_worker(self, name: str, value: Any) -> str | None:
        if isinstance(value, str):
            return "is a template"
        if name not in {field.name for field in fields(self.import_class)}:
            return "is not a literal"
        if source_of(value) is None:
            return "is more than the result of one task that is not mapped"
        return None

    def _reason_to_end_on_worker(self) -> str | None:
        if not waits_without_workers():
            return "it needs Airflow 3.3 or later"
        if has_listeners():
            return "only a worker calls the listeners of plugins"
        if has_own_xcom_backend():
            return "the XCom backend would store its result on the event loop of all waits"
        if self.outlets:
            return "only a worker reports outlets to Airflow"
        if has_post_execute(self):
            return "only a worker calls post_execute"
        if method := self._overridden("post_execute", "execute_complete", "resume_execution"):
            return f"only a worker calls {method}"
        if self.multiple_outputs:
            return "only a worker stores multiple outputs"
        if next(iter(self.iter_mapped_dependants()), None) is not None:
            return "a mapped task depends on its result"
        return None

    def _overridden(self, *methods: str) -> str | None:
        """Return the first of these methods that is not the one of the package's own sensors, or None."""
        base = next(cls for cls in type(self).__mro__ if "_is_base_of_sensors" in vars(cls))
        for name in methods:
            if name in vars(self) or getattr(type(self), name) is not getattr(base, name):
                return name
        return None


def class_path(cls: type) -> str:
    """Return the path by which a class is stored and imported again."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
