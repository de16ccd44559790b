# SPDX-License-Identifier: Apache-2.0
"""Which sensors start and end in the triggerer, and which do not, and why."""

from __future__ import annotations

import importlib
import json
from datetime import timedelta
from types import SimpleNamespace

import pendulum
import pytest
from airflow.listeners import hookimpl
from airflow.providers.common.compat.sdk import DAG, BaseOperator, task_group

from airflow_import_progress.compat import waits_without_workers
from airflow_import_progress.exceptions import ImportProgressError
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor

needs_airflow_3_3 = pytest.mark.skipif(not waits_without_workers(), reason="waits without workers from Airflow 3.3 on")

BOTH = {"start_from_trigger": True, "end_from_trigger": True}


def dag(**arguments):
    return DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1), **arguments)


def sensor(summary_id="3c90", *, in_dag=None, **arguments):
    with in_dag or dag():
        return LuccaLeaveImportSensor(task_id="wait", summary_id=summary_id, **BOTH, **arguments)


def started_by(sensor):
    return sensor.start_trigger_args.trigger_kwargs


def test_neither_is_the_default():
    with dag():
        waiting = LuccaLeaveImportSensor(task_id="wait", summary_id="3c90")
    assert (waiting.start_from_trigger, waiting._wants_trigger_end) == (False, False)
    assert waiting.start_trigger_args is None


def test_a_sensor_has_no_attribute_end_from_trigger():
    assert not hasattr(sensor(), "end_from_trigger")


@pytest.mark.parametrize("argument", BOTH)
def test_a_wait_that_holds_a_worker_has_neither(argument):
    with pytest.raises(ValueError, match="set deferrable"):
        LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", deferrable=False, **{argument: True})


def test_an_older_airflow_starts_and_ends_it_on_a_worker(monkeypatch):
    monkeypatch.setattr("airflow_import_progress.sensors.without_workers.waits_without_workers", lambda: False)
    waiting = sensor()
    assert waiting.start_from_trigger is False
    assert waiting.start_trigger_args is None
    assert waiting._reason_to_start_on_worker() == "it needs Airflow 3.3 or later"
    assert waiting._reason_to_end_on_worker() == "it needs Airflow 3.3 or later"


@needs_airflow_3_3
class TestStart:
    """What the scheduler is told to start in the triggerer."""

    @pytest.mark.parametrize("in_dag", [{}, {"render_template_as_native_obj": True}])
    def test_a_literal_starts_in_the_triggerer_and_is_not_rendered_there(self, in_dag):
        waiting = sensor("2024_001", in_dag=dag(**in_dag))
        assert waiting.start_from_trigger is True
        assert started_by(waiting)["import_fields"] == {"summary_id": "2024_001"}
        assert set(started_by(waiting)).isdisjoint(waiting.template_fields)

    @pytest.mark.parametrize("template", ["{{ run_id }}", "{% if ds %}1{% endif %}", "1{# a comment #}", "{{ run_id"])
    def test_a_template_starts_on_a_worker(self, template):
        waiting = sensor(template)
        assert waiting.start_from_trigger is False
        assert waiting.start_trigger_args is None
        assert waiting._reason_to_start_on_worker() == "summary_id is a template"

    def test_the_log_names_the_template_after_it_was_rendered(self, caplog, capsys):
        waiting = sensor("{{ ti.try_number }}")
        waiting.render_template_fields({"ti": SimpleNamespace(try_number=7)})
        assert waiting.summary_id == "7"
        with pytest.raises(ImportProgressError):
            waiting.execute({})
        assert "starts on a worker, because summary_id is a template" in caplog.text + capsys.readouterr().out

    def test_a_connection_that_is_not_a_literal_starts_on_a_worker(self):
        assert sensor(lucca_conn_id="lucca_{{ ds }}")._reason_to_start_on_worker() == "lucca_conn_id is a template"
        with dag():
            tenant = BaseOperator(task_id="tenant")
            waiting = LuccaLeaveImportSensor(task_id="wait", summary_id="1", lucca_conn_id=tenant.output, **BOTH)
        assert waiting._reason_to_start_on_worker() == "lucca_conn_id is not a literal"

    def test_an_argument_that_a_function_returns_starts_on_a_worker(self):
        waiting = sensor(lambda context, jinja_env: "3c90")
        reason = waiting._reason_to_start_on_worker()
        assert reason == "summary_id is more than the result of one task that is not mapped"

    @pytest.mark.parametrize("key", ["return_value", "summary_id"])
    def test_another_tasks_result_is_pulled_by_the_trigger_itself(self, key):
        with dag():
            upload = BaseOperator(task_id="upload")
            waiting = LuccaLeaveImportSensor(task_id="wait", summary_id=upload.output[key], **BOTH)
        assert waiting.start_from_trigger is True
        assert started_by(waiting)["xcoms"] == {"summary_id": ["upload", key]}
        assert "summary_id" not in started_by(waiting)

    def test_the_results_of_a_mapped_task_are_resolved_on_a_worker(self):
        with dag():
            uploads = BaseOperator.partial(task_id="upload").expand(doc=["1", "2"])
            waiting = LuccaLeaveImportSensor(task_id="wait", summary_id=uploads.output, **BOTH)
        reason = waiting._reason_to_start_on_worker()
        assert reason == "summary_id is more than the result of one task that is not mapped"

    def test_what_is_made_of_a_result_is_resolved_on_a_worker(self):
        with dag():
            upload = BaseOperator(task_id="upload")
            waiting = LuccaLeaveImportSensor(task_id="wait", summary_id=upload.output.map(str), **BOTH)
        assert waiting.start_from_trigger is False

    def test_a_mapped_sensor_starts_on_a_worker(self):
        with dag():
            partial = LuccaLeaveImportSensor.partial(task_id="wait", **BOTH)
            mapped = partial.expand(summary_id=["1", "2"])
        # Where the stored task has it, the triggerer loads the whole DAG for each instance that is deferred.
        assert (mapped.start_from_trigger, mapped.start_trigger_args) == (False, None)
        assert "start_from_trigger" not in mapped.partial_kwargs
        assert mapped.unmap({"summary_id": "1"}).start_from_trigger is False

    def test_a_sensor_in_a_mapped_task_group_starts_on_a_worker(self):
        waiting = []

        @task_group
        def group(number):
            waiting.append(LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", **BOTH))

        with dag():
            group.expand(number=[1, 2])
        assert waiting[0]._reason_to_start_on_worker() == "it is in a mapped task group"

    @pytest.mark.parametrize(
        "argument",
        [
            {"execution_timeout": timedelta(hours=1)},
            {"pre_execute": lambda context: None},
            {"on_execute_callback": lambda context: None},
        ],
    )
    def test_what_only_a_worker_does_starts_on_a_worker(self, argument):
        waiting = sensor(**argument)
        assert waiting.start_from_trigger is False
        assert next(iter(argument)) in waiting._reason_to_start_on_worker()

    @pytest.mark.parametrize("method", ["pre_execute", "execute", "get_import", "get_hook"])
    def test_a_method_that_only_a_worker_calls_starts_on_a_worker(self, method):
        overriding = type("Overriding", (LuccaLeaveImportSensor,), {method: lambda self, *_: None})
        with dag():
            waiting = overriding(task_id="wait", summary_id="{{ ds }}", **BOTH)
        assert waiting._reason_to_start_on_worker() == f"only a worker calls {method}"

    def test_a_method_that_is_set_on_the_sensor_itself_starts_on_a_worker(self):
        waiting = sensor()
        waiting.pre_execute = lambda context: None
        assert waiting._reason_to_start_on_worker() == "only a worker calls pre_execute"

    def test_an_xcom_backend_of_ones_own_starts_on_a_worker(self, monkeypatch):
        waiting = sensor()
        monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", type("Backend", (), {}))
        assert "XCom backend" in waiting._reason_to_start_on_worker()
        assert "XCom backend" in waiting._reason_to_end_on_worker()

    def test_a_renamed_hook_of_airflows_starts_on_a_worker(self, monkeypatch):
        waiting = sensor()
        for name in ("_pre_execute_hook", "_post_execute_hook"):
            for owner in (waiting, *type(waiting).__mro__):
                if name in vars(owner):
                    monkeypatch.delattr(owner, name)
        assert waiting._reason_to_start_on_worker() == "only a worker calls pre_execute"
        assert waiting._reason_to_end_on_worker() == "only a worker calls post_execute"

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("airflow.sdk.definitions.xcom_arg", "PlainXComArg"),
            ("airflow.sdk.bases.xcom", "BaseXCom"),
            ("airflow.sdk.execution_time.xcom", "XCom"),
            ("airflow.sdk.listener", "get_listener_manager"),
        ],
    )
    def test_an_airflow_that_has_moved_a_name_takes_a_worker(self, monkeypatch, module, name):
        with dag():
            upload = BaseOperator(task_id="upload")
            waiting = LuccaLeaveImportSensor(task_id="wait", summary_id=upload.output, **BOTH)
        assert (waiting._reason_to_start_on_worker(), waiting._reason_to_end_on_worker()) == (None, None)
        monkeypatch.delattr(importlib.import_module(module), name)
        assert waiting._reason_to_start_on_worker() or waiting._reason_to_end_on_worker()

    def test_a_subclass_may_set_a_template_field_of_its_own_after_the_base_is_made(self):
        class Noted(LuccaLeaveImportSensor):
            template_fields = (*LuccaLeaveImportSensor.template_fields, "note")

            def __init__(self, *, note, **kwargs):
                super().__init__(**kwargs)
                self.note = note

        with dag():
            waiting = Noted(task_id="wait", summary_id="1", note="a", **BOTH)
            other = Noted(task_id="other", summary_id="1", note="{{ ds }}", **BOTH)
        assert waiting.start_from_trigger is True
        assert other._reason_to_start_on_worker() == "note is a template"

    def test_a_subclass_may_start_in_the_triggerer_by_default(self):
        class FromTrigger(LuccaLeaveImportSensor):
            start_from_trigger = True

        with dag():
            waiting = FromTrigger(task_id="wait", summary_id="1")
            on_a_worker = FromTrigger(task_id="other", summary_id="{{ ds }}")
            asked = FromTrigger(task_id="asked", summary_id="1", start_from_trigger=False)
            mapped = FromTrigger.partial(task_id="mapped").expand(summary_id=["1", "2"])
        assert waiting.start_from_trigger is True
        assert started_by(waiting)["import_fields"] == {"summary_id": "1"}
        assert [sensor.start_from_trigger for sensor in (on_a_worker, asked, mapped)] == [False, False, False]

    def test_the_flag_may_be_set_as_airflows_own_sensors_do(self):
        waiting = sensor("{{ ds }}")
        waiting.start_from_trigger = True
        assert waiting.start_from_trigger is False
        waiting.summary_id = "1"
        assert waiting.start_from_trigger is True

    def test_what_is_changed_after_the_sensor_was_made_counts(self):
        waiting = sensor()
        waiting.summary_id, waiting.poke_interval = "another", 7.0
        assert started_by(waiting)["import_fields"]["summary_id"] == "another"
        assert started_by(waiting)["rules"]["poke_interval"] == 7.0
        waiting.execution_timeout = timedelta(hours=1)
        assert waiting.start_from_trigger is False

    def test_airflows_own_timeout_is_a_back_stop_behind_the_sensors(self):
        assert sensor(timeout=600).start_trigger_args.timeout == timedelta(seconds=660)

    def test_the_arguments_are_plain_json_for_every_kind_of_field(self):
        with dag():
            upload = BaseOperator(task_id="upload")
            locations = LuccaUserLocationImportSensor(
                task_id="locations", summary_id="1", check_results=True, max_failed_records=3, **BOTH
            )
            workspace = RocketChatImportSensor(
                task_id="workspace",
                operation_id=upload.output,
                started_after=pendulum.datetime(2026, 11, 22, tz="UTC"),
                **BOTH,
            )
        for waiting in (locations, workspace):
            assert json.loads(json.dumps(started_by(waiting))) == started_by(waiting)
        assert started_by(locations)["import_fields"] == {"summary_id": "1", "check_results": True}
        assert started_by(locations)["rules"]["gate"]["max_failed_records"] == 3
        assert started_by(workspace)["import_fields"] == {"started_after": "2026-11-22T00:00:00+00:00"}


@needs_airflow_3_3
class TestEnd:
    """What the trigger may end itself."""

    def test_a_plain_sensor_ends_in_the_triggerer(self):
        waiting = sensor()
        assert waiting._reason_to_end_on_worker() is None
        assert started_by(waiting)["end_from_trigger"] is True

    @pytest.mark.parametrize(
        ("argument", "reason"),
        [
            ({"outlets": ["asset"]}, "only a worker reports outlets to Airflow"),
            ({"post_execute": lambda context, result: None}, "only a worker calls post_execute"),
            ({"multiple_outputs": True}, "only a worker stores multiple outputs"),
        ],
    )
    def test_what_only_a_worker_does_ends_on_a_worker(self, argument, reason):
        waiting = sensor(**argument)
        assert waiting._reason_to_end_on_worker() == reason
        assert started_by(waiting)["end_from_trigger"] is False

    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_mixin_that_only_a_worker_calls_ends_on_a_worker_wherever_it_is_listed(self, is_first):
        mixin = type("Audit", (BaseOperator,), {"post_execute": lambda self, *_: None})
        bases = (mixin, LuccaLeaveImportSensor) if is_first else (LuccaLeaveImportSensor, mixin)
        with dag():
            waiting = type("Audited", bases, {})(task_id="wait", summary_id="3c90", **BOTH)
        assert waiting._reason_to_end_on_worker() == "only a worker calls post_execute"

    @pytest.mark.parametrize("method", ["post_execute", "execute_complete", "resume_execution"])
    def test_a_method_that_only_a_worker_calls_ends_on_a_worker(self, method):
        overriding = type("Overriding", (LuccaLeaveImportSensor,), {method: lambda self, *_: None})
        with dag():
            waiting = overriding(task_id="wait", summary_id="3c90", **BOTH)
        assert waiting._reason_to_end_on_worker() == f"only a worker calls {method}"

    def test_a_result_that_a_mapped_task_depends_on_is_stored_by_a_worker(self):
        with dag():
            waiting = LuccaLeaveImportSensor(task_id="wait", summary_id="1", **BOTH)
            BaseOperator.partial(task_id="next").expand(doc=waiting.output)
        assert waiting._reason_to_end_on_worker() == "a mapped task depends on its result"

    def test_without_xcoms_nothing_is_stored(self):
        assert started_by(sensor(do_xcom_push=False))["do_xcom_push"] is False

    def test_where_a_plugin_listens_it_ends_on_a_worker(self):
        class Listener:
            @hookimpl
            def on_task_instance_success(self, previous_state, task_instance):
                """Do nothing."""

        listeners = importlib.import_module("airflow.sdk.listener").get_listener_manager()
        listeners.add_listener(Listener())
        try:
            assert sensor()._reason_to_end_on_worker() == "only a worker calls the listeners of plugins"
        finally:
            listeners.clear()
