# SPDX-License-Identifier: Apache-2.0
"""Identifiers are texts, whatever a DAG renders its templates to."""

from __future__ import annotations

from types import SimpleNamespace

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor

#: Texts that are literals of Python, too.
LITERALS = ["2024_001", "0x1F", "000", "1e5", "3.10", "True", "1,2", "-7", "0b11"]

#: Each argument that identifies an import or a connection, with what else the sensor needs.
ARGUMENTS = [
    (LuccaLeaveImportSensor, "summary_id", {}),
    (LuccaLeaveImportSensor, "lucca_conn_id", {"summary_id": "1"}),
    (LuccaUserLocationImportSensor, "summary_id", {}),
    (LuccaUserLocationImportSensor, "lucca_conn_id", {"summary_id": "1"}),
    (RocketChatImportSensor, "operation_id", {}),
    (RocketChatImportSensor, "importer_key", {}),
    (RocketChatImportSensor, "rocketchat_conn_id", {"operation_id": "1"}),
    (LeadsyImportSensor, "import_code", {}),
    (LeadsyImportSensor, "leadsy_conn_id", {"import_code": "1"}),
    (ZillizImportSensor, "job_id", {}),
    (ZillizImportSensor, "cluster_id", {"job_id": "1"}),
    (ZillizImportSensor, "db_name", {"job_id": "1"}),
    (ZillizImportSensor, "zilliz_conn_id", {"job_id": "1"}),
]


def dag(*, native=True):
    return DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1), render_template_as_native_obj=native)


def rendered(sensor_class, context=None, *, native=True, **arguments):
    with dag(native=native):
        sensor = sensor_class(task_id="wait", **arguments)
    sensor.render_template_fields(context or {})
    return sensor


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("sensor_class", "name", "others"), ARGUMENTS)
@pytest.mark.parametrize("text", LITERALS)
def test_a_literal_stays_the_text_that_it_is(sensor_class, name, others, text, native):
    sensor = rendered(sensor_class, native=native, **others, **{name: text})
    assert getattr(sensor, name) == text
    assert sensor.get_import()


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("sensor_class", "name", "others"), ARGUMENTS)
@pytest.mark.parametrize("text", LITERALS)
def test_a_template_renders_to_the_text_that_it_yields(sensor_class, name, others, text, native):
    sensor = rendered(sensor_class, {"pushed": text}, native=native, **others, **{name: "{{ pushed }}"})
    assert getattr(sensor, name) == text


def test_a_time_that_is_a_number_to_python_stays_a_text():
    sensor = rendered(RocketChatImportSensor, {"day": "20260217"}, started_after="{{ day }}")
    assert sensor.get_import().started_after == "2026-02-17T00:00:00+00:00"


def test_a_template_is_rendered_with_what_the_dag_defines():
    with DAG(
        "d",
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1),
        render_template_as_native_obj=True,
        user_defined_macros={"tenant": "acme"},
        user_defined_filters={"code": lambda text: f"{text}_1"},
    ):
        sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="{{ tenant | code }}{# 2 #}")
    sensor.render_template_fields({})
    assert sensor.summary_id == "acme_1"


def test_other_template_fields_are_rendered_as_the_dag_says():
    class Noted(LuccaLeaveImportSensor):
        template_fields = (*LuccaLeaveImportSensor.template_fields, "note")

        def __init__(self, *, note, **kwargs):
            super().__init__(**kwargs)
            self.note = note

    assert rendered(Noted, {"n": 7}, summary_id="1", note="{{ n }}").note == 7
    assert rendered(Noted, {"n": 7}, summary_id="1", note="{{ n }}", native=False).note == "7"


class Result:
    """A value that Airflow resolves, such as another task's result."""

    def __init__(self, value):
        self.value = value


def resolving(monkeypatch, value):
    """Return a DAG's task and its result, which resolves to the value."""
    with dag():
        upload = BaseOperator(task_id="upload")
        sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=upload.output)
    monkeypatch.setattr(type(upload.output), "resolve", lambda self, *args, **kwargs: value)
    sensor.render_template_fields({})
    return sensor


def test_a_number_of_an_xcom_is_taken_where_it_is_a_whole_one(monkeypatch):
    assert resolving(monkeypatch, 2024001).get_import().summary_id == "2024001"


@pytest.mark.parametrize("value", [2024.0, True])
def test_another_number_of_an_xcom_is_refused(monkeypatch, value):
    with pytest.raises(ValueError, match="summary_id must be the import's identifier as text"):
        resolving(monkeypatch, value).get_import()


def test_a_mapped_sensor_keeps_the_text_of_a_literal():
    with dag() as native:
        mapped = LuccaLeaveImportSensor.partial(task_id="wait", lucca_conn_id="2024_002").expand(
            summary_id=["2024_001", "{{ pushed }}"]
        )
    for index, text in enumerate(["2024_001", "0x1F"]):
        sensor = mapped.unmap({"summary_id": ["2024_001", "{{ pushed }}"][index]})
        sensor._do_render_template_fields(
            sensor, mapped.template_fields, {"pushed": "0x1F"}, native.get_template_env(), set()
        )
        assert (sensor.summary_id, sensor.lucca_conn_id) == (text, "2024_002")


def test_a_text_that_something_else_has_made_a_number_of_is_refused():
    sensor = rendered(LuccaLeaveImportSensor, summary_id="2024_001")
    sensor.summary_id = 2024001
    with pytest.raises(ValueError, match="summary_id was given as text and is 2024001 now"):
        sensor.execute({"ti": SimpleNamespace(map_index=-1)})
