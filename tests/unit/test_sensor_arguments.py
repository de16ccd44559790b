# SPDX-License-Identifier: Apache-2.0
"""What a sensor refuses while the DAG is parsed, and what it leaves for later."""

from __future__ import annotations

import copy
import pickle
from datetime import date, timedelta
from types import SimpleNamespace
from uuid import UUID

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, task_group

from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.hooks.rocketchat import RocketChatImport
from airflow_import_progress.operators.base import BaseImportOperator
from airflow_import_progress.sensors.arguments import NOT_GIVEN
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor
from airflow_import_progress.waiting.gate import Gate

SENSORS = [LuccaLeaveImportSensor, LuccaUserLocationImportSensor]


@pytest.mark.parametrize("sensor_class", SENSORS)
@pytest.mark.parametrize("summary_id", [None, "", "None", {"summaryId": "3c90"}])
def test_a_literal_that_is_no_identifier_is_refused(sensor_class, summary_id):
    with pytest.raises(ValueError, match="summary_id"):
        sensor_class(task_id="wait", summary_id=summary_id)


@pytest.mark.parametrize("sensor_class", SENSORS)
def test_the_identifier_is_required(sensor_class):
    # Which class of exception is Airflow's choice.
    with pytest.raises(Exception, match="summary_id"):
        sensor_class(task_id="wait")


@pytest.mark.parametrize("sensor_class", SENSORS)
def test_a_template_is_left_for_later(sensor_class):
    sensor = sensor_class(task_id="wait", summary_id="{{ ti.xcom_pull('upload') }}")
    assert sensor.summary_id == "{{ ti.xcom_pull('upload') }}"


@pytest.mark.parametrize("sensor_class", SENSORS)
def test_an_upstreams_output_is_left_for_later_and_orders_the_tasks(sensor_class):
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        upload = BaseOperator(task_id="upload")
        sensor = sensor_class(task_id="wait", summary_id=upload.output)
    assert sensor.upstream_task_ids == {"upload"}


@pytest.mark.parametrize("sensor_class", SENSORS)
def test_an_unrendered_template_is_never_sent(sensor_class):
    sensor = sensor_class(task_id="wait", summary_id="{{ ti.xcom_pull('upload') }}")
    with pytest.raises(ValueError, match="summary_id is a template that was not rendered"):
        sensor.execute({})


@pytest.mark.parametrize("sensor_class", SENSORS)
def test_what_a_missing_xcom_renders_to_is_never_sent(sensor_class):
    sensor = sensor_class(task_id="wait", summary_id="{{ ti.xcom_pull('upload') }}")
    sensor.summary_id = "None"
    with pytest.raises(ValueError, match=r"summary_id is 'None'.*upstream task"):
        sensor.execute({})


@pytest.mark.parametrize("sensor_class", SENSORS)
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("poke_interval", -1),
        ("timeout", -1),
        ("max_wait", -1),
        ("mode", "patient"),
        ("min_poke_interval", 0.5),
        ("min_poke_interval", float("nan")),
        ("min_poke_interval", float("inf")),
        ("min_poke_interval", "5"),
        ("min_poke_interval", True),
        ("max_consecutive_failures", 0),
        ("max_consecutive_failures", 2.5),
        ("max_consecutive_failures", True),
        ("poke_intervall", 30),
    ],
)
def test_a_wrong_argument_is_refused_by_name(sensor_class, argument, value):
    # Which class of exception is Airflow's choice where the argument is Airflow's.
    with pytest.raises(Exception, match=argument):
        sensor_class(task_id="wait", summary_id="3c90", **{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"), [("max_failed_records", -1), ("min_success_rate", 101), ("min_success_rate", -1)]
)
def test_a_wrong_limit_for_records_is_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        LuccaUserLocationImportSensor(task_id="wait", summary_id="3c90", check_results=True, **{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"), [("min_success_rate", 1), ("min_success_rate", 1.0), ("min_records", 0)]
)
@pytest.mark.parametrize(
    ("sensor_class", "others"),
    [
        (LuccaUserLocationImportSensor, {"summary_id": "1", "check_results": True}),
        (RocketChatImportSensor, {"operation_id": "1"}),
        (LeadsyImportSensor, {"import_code": "1"}),
    ],
)
def test_a_limit_that_is_likely_a_mistake_is_refused_by_name(sensor_class, others, argument, value):
    with pytest.raises(ValueError, match=argument):
        sensor_class(task_id="wait", **others, **{argument: value})


@pytest.mark.parametrize("sensor_class", [LuccaLeaveImportSensor, LuccaUserLocationImportSensor])
def test_the_gate_is_not_an_argument(sensor_class):
    # Which class of exception is Airflow's choice.
    with pytest.raises(Exception, match="gate"):
        sensor_class(task_id="wait", summary_id="1", gate=Gate())


def test_nothing_but_a_gate_can_be_set_as_one():
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="1")
    with pytest.raises(TypeError, match="gate must be a Gate, not object"):
        sensor.gate = object()


@pytest.mark.parametrize("bases", [(type("Mixin", (), {"gate": None}), LeadsyImportSensor), (LeadsyImportSensor,)])
def test_a_subclass_cannot_hide_the_gate(bases):
    with pytest.raises(TypeError, match="hides the property gate"):
        type("Strict", bases, {} if len(bases) == 2 else {"gate": property(lambda self: None)})


@pytest.mark.parametrize("argument", ["max_failed_records", "min_success_rate", "min_records"])
def test_a_limit_for_records_needs_the_results(argument):
    with pytest.raises(ValueError, match="need check_results=True"):
        LuccaUserLocationImportSensor(task_id="wait", summary_id="3c90", **{argument: 2})


@pytest.mark.parametrize("argument", ["max_failed_records", "min_success_rate", "min_records", "check_results"])
def test_the_leave_sensor_refuses_limits_on_records(argument):
    with pytest.raises(Exception, match=argument):
        LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", **{argument: 0})


def test_waits_in_the_triggerer_unless_told_otherwise():
    assert LuccaLeaveImportSensor(task_id="wait", summary_id="3c90").deferrable is True


def test_intervals_may_be_timedeltas():
    sensor = LuccaLeaveImportSensor(
        task_id="wait",
        summary_id="3c90",
        poke_interval=timedelta(minutes=2),
        min_poke_interval=timedelta(seconds=10),
        timeout=timedelta(hours=1),
        max_wait=timedelta(minutes=10),
    )
    assert (sensor.poke_interval, sensor.min_poke_interval) == (120, 10)
    assert (sensor.timeout, sensor.max_wait) == (3600, timedelta(minutes=10))


def test_can_be_mapped():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        mapped = LuccaLeaveImportSensor.partial(task_id="wait", poke_interval=30, deferrable=True).expand(
            summary_id=["3c90", "5156"]
        )
    sensor = mapped.unmap({"summary_id": "5156"})
    assert (sensor.summary_id, sensor.poke_interval) == ("5156", 30)


def test_a_mapped_sensor_refuses_unknown_arguments_by_name():
    with pytest.raises(Exception, match="poke_intervall"):
        LuccaLeaveImportSensor.partial(task_id="wait", poke_intervall=30)


def test_values_that_airflow_resolves_later_are_left_for_later():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1), params={"sid": "3c90"}) as dag:

        @task_group
        def group(summary_id):
            LuccaLeaveImportSensor(task_id="wait", summary_id=summary_id)

        group.expand(summary_id=["3c90", "5156"])
        LuccaLeaveImportSensor(task_id="by_param", summary_id=dag.param("sid"))
    assert {"group.wait", "by_param"} <= set(dag.task_ids)


def test_a_timeout_of_more_than_ten_years_is_refused():
    with pytest.raises(ValueError, match="timeout must be at most"):
        LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", timeout=10**12)


# Literals of other types, and texts that are not identifiers


@pytest.mark.parametrize(
    "value",
    [
        date(2026, 1, 1),
        pendulum.datetime(2026, 1, 1),
        1.5,
        1e5,
        True,
        b"3c90",
        ["3c90"],
        {"3c90"},
        object(),
        '"3c90"',
        "'3c90'",
        '{"summaryId": "3c90"}',
        "{'summaryId': '3c90'}",
        '["3c90"]',
        "[3c90]",
        "`3c90`",
        '3c90"',
        "}",
    ],
)
def test_a_literal_that_is_not_an_identifier_is_refused_while_the_dag_is_parsed(value):
    with pytest.raises(ValueError, match="summary_id"):
        LuccaLeaveImportSensor(task_id="wait", summary_id=value)
    with pytest.raises(ValueError, match="operation_id"):
        RocketChatImportSensor(task_id="wait", operation_id=value)
    with pytest.raises(ValueError, match="cluster_id"):
        ZillizImportSensor(task_id="wait", job_id="1", cluster_id=value)


@pytest.mark.parametrize(
    ("value", "identifier"),
    [
        (2024001, "2024001"),
        (UUID("3c90c3cc-0d44-4b50-8888-8dd25736052a"), "3c90c3cc-0d44-4b50-8888-8dd25736052a"),
    ],
)
def test_a_number_or_a_uuid_is_taken_as_the_text_that_it_is_written_as(value, identifier):
    assert LuccaLeaveImportSensor(task_id="wait", summary_id=value).get_import().summary_id == identifier
    assert ZillizImportSensor(task_id="wait", job_id="1", cluster_id=value).get_import().cluster_id == identifier


@pytest.mark.parametrize("value", [None, "", " ", 5, {"conn_id": "lucca"}])
def test_a_literal_that_is_not_a_connection_id_is_refused_while_the_dag_is_parsed(value):
    with pytest.raises(ValueError, match="lucca_conn_id"):
        LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", lucca_conn_id=value)


# Rocket.Chat, where an argument that is left out means another import


@pytest.mark.parametrize("name", ["operation_id", "importer_key", "started_after"])
def test_an_argument_that_was_resolved_to_none_is_not_taken_for_left_out(name):
    sensor = RocketChatImportSensor(task_id="wait", **{name: "{{ ti.xcom_pull('upload') }}"})
    setattr(sensor, name, None)
    with pytest.raises(ValueError, match=f"{name} is None.*upstream task"):
        sensor.execute({})


@pytest.mark.parametrize("name", ["operation_id", "importer_key", "started_after"])
def test_a_literal_none_is_refused_while_the_dag_is_parsed(name):
    with pytest.raises(ValueError, match=f"{name} is None.*do not give it"):
        RocketChatImportSensor(task_id="wait", **{name: None})


@pytest.mark.parametrize("name", ["operation_id", "importer_key", "started_after"])
def test_a_mapped_argument_that_is_none_is_not_taken_for_left_out(name):
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        mapped = RocketChatImportSensor.partial(task_id="wait").expand(**{name: ["2026-01-01", None]})
    assert getattr(mapped.unmap({name: "2026-01-01"}), name) == "2026-01-01"
    with pytest.raises(ValueError, match=f"{name} is None"):
        mapped.unmap({name: None}).execute({})


def test_a_mapped_operation_that_is_none_is_not_made_up_for_by_its_importer():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        mapped = RocketChatImportSensor.partial(task_id="wait", importer_key="csv").expand(operation_id=["64d5", None])
    assert mapped.unmap({"operation_id": "64d5"}).get_import().operation_id == "64d5"
    with pytest.raises(ValueError, match=r"operation_id is None.*upstream task"):
        mapped.unmap({"operation_id": None}).execute({})


def test_a_mapped_cluster_that_is_none_is_not_taken_for_the_connections():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        mapped = ZillizImportSensor.partial(task_id="wait", job_id="job-1").expand(cluster_id=["in01-1", None])
    assert mapped.unmap({"cluster_id": "in01-1"}).get_import().cluster_id == "in01-1"
    with pytest.raises(ValueError, match="cluster_id is None"):
        mapped.unmap({"cluster_id": None}).execute({})


def test_a_mapped_task_does_not_trust_whatever_the_workspace_reports():
    sensor = RocketChatImportSensor(task_id="wait")
    with pytest.raises(ValueError, match="A mapped task must be given the import"):
        sensor.execute({"ti": SimpleNamespace(map_index=0)})


class Forgetful(RocketChatImportSensor):
    """A sensor whose author gives the base what it may, and calls nothing else."""

    def __init__(self, *, batch, **kwargs):
        super().__init__(**kwargs)
        self.operation_id = batch


def test_a_subclass_that_calls_nothing_is_checked_while_the_dag_is_parsed():
    with pytest.raises(ValueError, match="operation_id is None"):
        Forgetful(task_id="wait", batch=None)
    with pytest.raises(ValueError, match="operation_id"):
        Forgetful(task_id="wait", batch="")


def test_a_subclass_that_calls_nothing_does_not_take_none_for_left_out():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        sensor = Forgetful(task_id="wait", batch="{{ ti.xcom_pull('upload') }}")
        mapped = Forgetful.partial(task_id="mapped").expand(batch=["64d5", None])
    sensor.operation_id = None
    with pytest.raises(ValueError, match="operation_id is None"):
        sensor.execute({})
    with pytest.raises(ValueError, match="operation_id is None"):
        mapped.unmap({"batch": None}).execute({})


def test_none_is_refused_on_an_airflow_whose_private_names_are_others():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        mapped = RocketChatImportSensor.partial(task_id="wait").expand(operation_id=["64d5", "x"])
    sensor = mapped.unmap({"operation_id": "x"})
    for name in [name for name in vars(sensor) if name.startswith("_BaseOperator__")]:
        del vars(sensor)[name]
    vars(sensor)["operation_id"] = None
    with pytest.raises(ValueError, match="operation_id is None"):
        sensor.get_import()


def test_an_argument_that_is_not_given_survives_copies_and_the_stored_dag():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        sensor = RocketChatImportSensor(task_id="wait", importer_key="csv")
    for copied in (copy.copy(sensor), copy.deepcopy(sensor), pickle.loads(pickle.dumps(sensor))):  # noqa: S301
        assert copied.get_import() == RocketChatImport(importer_key="csv")
    sensor.render_template_fields({})
    assert sensor.operation_id is NOT_GIVEN


def test_the_import_may_be_set_when_the_sensor_is_executed():
    assert LuccaLeaveImportSensor(task_id="wait", summary_id=NOT_GIVEN).summary_id is NOT_GIVEN
    with pytest.raises(ValueError, match="summary_id is not given"):
        LuccaLeaveImportSensor(task_id="wait", summary_id=NOT_GIVEN).execute({})


def test_rocket_chat_needs_no_identifier():
    assert RocketChatImportSensor(task_id="wait").get_import() == RocketChatImport()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("operation_id", ""),
        ("importer_key", "None"),
        ("started_after", "yesterday"),
        ("on_action_required", "ignore"),
        ("max_failed_records", -1),
        ("min_success_rate", 101),
    ],
)
def test_a_wrong_argument_for_rocket_chat_is_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        RocketChatImportSensor(task_id="wait", **{argument: value})


def test_a_literal_time_is_checked_while_the_dag_is_parsed():
    sensor = RocketChatImportSensor(task_id="wait", started_after=pendulum.datetime(2026, 1, 1))
    assert sensor.get_import().started_after == "2026-01-01T00:00:00+00:00"


# Classes of other packages ----------------------------------------------------------------------------------


class WithoutStart(BaseImportOperator):
    """An operator without the attributes of its vendor."""

    def prepare(self, hook):
        """Do nothing."""


@pytest.mark.parametrize(
    ("base", "attributes", "lacking"),
    [
        (BaseImportSensor, {}, "import_class"),
        (BaseImportSensor, {"import_class": LuccaLeaveImport}, "hook_class"),
        (WithoutStart, {"hook_class": LuccaHook}, "import_class"),
        (WithoutStart, {"import_class": LuccaLeaveImport, "hook_class": LuccaHook}, "start_advice"),
    ],
)
def test_a_class_that_lacks_an_attribute_of_its_vendor_is_refused_by_the_name_of_the_attribute(
    base, attributes, lacking
):
    incomplete = type("Incomplete", (base,), attributes)
    with pytest.raises(TypeError, match=f"Incomplete lacks the class attribute {lacking}: "):
        incomplete(task_id="wait")


@pytest.mark.parametrize(("given", "lacking"), [("lucca_conn_id", "summary_id"), ("summary_id", "lucca_conn_id")])
def test_a_constructor_that_sets_no_attribute_for_an_identifier_is_refused_by_its_name(given, lacking):
    class Incomplete(BaseImportSensor):
        import_class = LuccaLeaveImport
        hook_class = LuccaHook

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            setattr(self, given, "3c90")

    with pytest.raises(TypeError, match=f"Incomplete lacks the attribute {lacking}: set it in __init__"):
        Incomplete(task_id="wait")
