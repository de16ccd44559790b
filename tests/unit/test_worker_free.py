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
from airflow_import_progress.sensors.worker_free import reason_to_end_on_a_worker, reason_to_start_on_a_worker

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
    assert (waiting.start_from_trigger, waiting.ends_from_trigger) == (False, False)
    assert waiting.start_trigger_args is None


def test_airflow_is_not_told_of_the_end_which_it_forbids_where_there_are_listeners():
    assert not hasattr(sensor(), "end_from_trigger")


@pytest.mark.parametrize("argument", BOTH)
def test_a_wait_that_holds_a_worker_has_neither(argument):
    with pytest.raises(ValueError, match="set deferrable"):
        LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", deferrable=False, **{argument: True})


def test_an_older_airflow_starts_and_ends_it_on_a_worker(monkeypatch):
    monkeypatch.setattr("airflow_import_progress.sensors.worker_free.waits_without_workers", lambda: False)
    waiting = sensor()
    assert waiting.start_from_trigger is False
    assert waiting.start_trigger_args is None
    assert reason_to_start_on_a_worker(waiting) == "it needs Airflow 3.3 or later"
    assert reason_to_end_on_a_worker(waiting) == "it needs Airflow 3.3 or later"


@needs_airflow_3_3
class TestStart:
    """What the scheduler is told to start in the triggerer."""

    @pytest.mark.parametrize(
        "summary_id",
        [
            "3c90",
            "{{ run_id }}",
            "leaves-{{ ds_nodash }}-{{ logical_date.hour }}",
            "{{ run_id | replace('manual__', '') }}",
            "{{ ti.xcom_pull('upload', map_indexes=-1) }}",
            "{{ task_instance.xcom_pull(task_ids='upload', key='summary_id', map_indexes=-1)['id'] }}",
        ],
    )
    def test_what_the_triggerer_can_render_starts_there(self, summary_id):
        waiting = sensor(summary_id)
        assert waiting.start_from_trigger is True
        assert started_by(waiting)["summary_id"] == summary_id

    @pytest.mark.parametrize(
        ("summary_id", "odd"),
        [
            ("{{ ti.xcom_pull('upload') }}", "'ti'"),
            ("{{ ti.xcom_pull('upload', map_indexes=None) }}", "'ti'"),
            ("{{ ti.xcom_pull('upload', map_indexes=index) }}", "'ti'"),
            ("{{ ti.xcom_pull(['a', 'b'], map_indexes=-1) }}", "'ti'"),
            ("{{ ti.xcom_pull('upload', 'a_dag', map_indexes=-1) }}", "'ti'"),
            ("{{ ti.xcom_pull('upload', include_prior_dates=True, map_indexes=-1) }}", "'ti'"),
            ("{{ ti.xcom_pull('upload', **{'map_indexes': -1}) }}", "'ti'"),
            ("{{ ti.try_number }}", "'ti'"),
            ("{{ conn.lucca.password }}", "'conn'"),
            ("{{ my_macro(ds) }}", "'my_macro'"),
            ("{{ ds | my_filter }}", "the filter 'my_filter'"),
            ("{% for x in ds %}{{ x }}{% endfor %}", "a for"),
            ("{% include 'x' %}", "a include"),
            ("{{ ds if true else ts }}", "a condexpr"),
        ],
    )
    def test_what_only_a_worker_is_known_to_render_starts_there(self, summary_id, odd):
        waiting = sensor(summary_id)
        assert waiting.start_from_trigger is False
        assert waiting.start_trigger_args is None
        reason = reason_to_start_on_a_worker(waiting)
        assert reason == f"summary_id has a template with {odd}, which only a worker is known to render"

    def test_the_log_says_why_after_the_template_was_rendered(self, monkeypatch, caplog, capsys):
        waiting = sensor("{{ ti.try_number }}")
        waiting.render_template_fields({"ti": SimpleNamespace(try_number=7)})
        assert waiting.summary_id == "7"
        with pytest.raises(ImportProgressError):
            waiting.execute({})
        assert (
            "starts on a worker, because summary_id has a template with 'ti'" in caplog.text + capsys.readouterr().out
        )

    def test_what_cannot_be_parsed_starts_on_a_worker(self):
        assert reason_to_start_on_a_worker(sensor("{{ run_id")) == "summary_id is no template that can be parsed"

    def test_native_objects_are_rendered_on_a_worker(self):
        waiting = sensor("{{ run_id }}", in_dag=dag(render_template_as_native_obj=True))
        assert reason_to_start_on_a_worker(waiting) == "summary_id is rendered to a native object"

    def test_the_connection_may_be_a_template_too(self):
        assert started_by(sensor(lucca_conn_id="lucca_{{ ds }}"))["lucca_conn_id"] == "lucca_{{ ds }}"
        assert sensor(lucca_conn_id="{{ var.value.conn }}").start_from_trigger is False

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
        reason = reason_to_start_on_a_worker(waiting)
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
        assert mapped.start_trigger_args is None
        one = mapped.unmap({"summary_id": "1"})
        assert one.start_from_trigger is False
        assert reason_to_start_on_a_worker(one) == "Airflow starts no mapped task in the triggerer"

    def test_a_sensor_in_a_mapped_task_group_starts_on_a_worker(self):
        waiting = []

        @task_group
        def group(number):
            waiting.append(LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", **BOTH))

        with dag():
            group.expand(number=[1, 2])
        assert reason_to_start_on_a_worker(waiting[0]) == "it is in a mapped task group"

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
        assert next(iter(argument)) in reason_to_start_on_a_worker(waiting)

    def test_what_is_changed_after_the_sensor_was_made_counts(self):
        waiting = sensor()
        waiting.summary_id, waiting.poke_interval = "another", 7.0
        assert started_by(waiting)["summary_id"] == "another"
        assert started_by(waiting)["wait"]["poke_interval"] == 7.0
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
        assert started_by(locations)["import_fields"] == {"check_results": True}
        assert started_by(locations)["wait"]["gate"]["max_failed_records"] == 3
        assert started_by(workspace)["import_fields"] == {
            "importer_key": None,
            "started_after": "2026-11-22T00:00:00+00:00",
        }


@needs_airflow_3_3
class TestEnd:
    """What the trigger may end itself."""

    def test_a_plain_sensor_ends_in_the_triggerer(self):
        waiting = sensor()
        assert reason_to_end_on_a_worker(waiting) is None
        assert started_by(waiting)["wait"]["end_from_trigger"] is True

    @pytest.mark.parametrize(
        ("argument", "reason"),
        [
            ({"outlets": ["asset"]}, "only a worker tells Airflow of the outlets"),
            ({"post_execute": lambda context, result: None}, "only a worker calls post_execute"),
            ({"multiple_outputs": True}, "only a worker stores multiple outputs"),
        ],
    )
    def test_what_only_a_worker_does_ends_on_a_worker(self, argument, reason):
        waiting = sensor(**argument)
        assert reason_to_end_on_a_worker(waiting) == reason
        assert started_by(waiting)["wait"]["end_from_trigger"] is False

    def test_a_result_that_a_mapped_task_depends_on_is_stored_by_a_worker(self):
        with dag():
            waiting = LuccaLeaveImportSensor(task_id="wait", summary_id="1", **BOTH)
            BaseOperator.partial(task_id="next").expand(doc=waiting.output)
        assert reason_to_end_on_a_worker(waiting) == "a mapped task depends on its result"

    def test_without_xcoms_nothing_is_stored(self):
        assert started_by(sensor(do_xcom_push=False))["wait"]["do_xcom_push"] is False

    def test_where_a_plugin_listens_it_ends_on_a_worker(self):
        class Listener:
            @hookimpl
            def on_task_instance_success(self, previous_state, task_instance):
                """Do nothing."""

        listeners = importlib.import_module("airflow.sdk.listener").get_listener_manager()
        listeners.add_listener(Listener())
        try:
            assert reason_to_end_on_a_worker(sensor()) == "only a worker tells the listeners of plugins"
        finally:
            listeners.clear()
