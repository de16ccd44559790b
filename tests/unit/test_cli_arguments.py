# SPDX-License-Identifier: Apache-2.0
"""The arguments of the command line, and that they are those of the sensors."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from dataclasses import fields

import pytest

import airflow_import_progress.sensors
from airflow_import_progress.cli.arguments import parser
from airflow_import_progress.cli.kinds import KINDS
from airflow_import_progress.sensors.base import BaseImportSensor

BY_NAME = {kind.name: kind for kind in KINDS}

every_kind = pytest.mark.parametrize("kind", KINDS, ids=BY_NAME)


def parameters_of(kind):
    """Return the parameters of a kind's sensor that are its own."""
    sensor_class = pkgutil.resolve_name(kind.sensor)
    own = dict(inspect.signature(sensor_class).parameters)
    del own["kwargs"], own[sensor_class.hook_class.conn_name_attr]
    return own


@every_kind
def test_a_kind_takes_the_arguments_of_its_sensor(kind):
    assert {kind.identifier.name, *(option.name for option in kind.options)} == set(parameters_of(kind))


@every_kind
def test_a_kind_takes_whatever_identifies_its_import(kind):
    identifying = {field.name for field in fields(pkgutil.resolve_name(kind.sensor).import_class)}
    assert identifying <= {kind.identifier.name, *(option.name for option in kind.options)}


@every_kind
def test_a_kind_needs_its_identifier_where_the_sensor_does(kind):
    assert kind.needs_identifier == (parameters_of(kind)[kind.identifier.name].default is inspect.Parameter.empty)


@every_kind
def test_what_is_written_is_read_as_the_type_that_the_sensor_takes(kind):
    types = {"bool": None, "int | None": int, "float | None": float}
    parameters = parameters_of(kind)
    for option in kind.options:
        assert option.read is types.get(parameters[option.name].annotation, option.read)


def test_each_sensor_has_a_kind():
    package = airflow_import_progress.sensors
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    sensors = {cls for cls in BaseImportSensor.__subclasses__() if cls.__module__.startswith(package.__name__)}
    assert {pkgutil.resolve_name(kind.sensor) for kind in KINDS} == sensors


def test_options_may_stand_before_the_kind_and_after_it():
    before = parser().parse_args(["watch", "--conn-id", "acme", "--json", "lucca-leave", "x"])
    after = parser().parse_args(["watch", "lucca-leave", "x", "--conn-id", "acme", "--json"])
    assert (before.conn_id, before.json, before.summary_id) == (after.conn_id, after.json, after.summary_id)
    assert before.conn_id == "acme"


def test_what_is_left_out_is_left_to_the_sensor():
    options = vars(parser().parse_args(["watch", "rocketchat"]))
    assert not {"importer_key", "max_failed_records", "on_action_required", "conn_id", "timeout"} & set(options)


def test_a_status_map_is_json():
    options = parser().parse_args(["watch", "leadsy", "x", "--status-map", '{"listo": "succeeded"}'])
    assert options.status_map == {"listo": "succeeded"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["watch"],
        ["watch", "payroll", "x"],
        ["watch", "lucca-leave"],
        ["watch", "lucca-leave", "x", "--cluster-id", "c"],
        ["watch", "lucca-leave", "x", "--poke-interval", "often"],
        ["watch", "leadsy", "x", "--status-map", "{"],
        ["watch", "zilliz", "x", "--on-action-required", "panic"],
        ["watch", "lucca-user-location", "x", "--check"],
        ["list", "lucca-leave"],
        ["list", "--since", "0h"],
        ["list", "--since", "-1h"],
        ["list", "--since", "12"],
        ["list", "--since", "3651d"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_end_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("12h", 43200), ("7d", 604800), ("3650d", 315360000)])
def test_a_time_is_a_number_with_its_unit(text, seconds):
    assert parser().parse_args(["list", "--since", text]).since == seconds


def test_imports_of_the_last_twelve_hours_are_listed_by_default():
    assert parser().parse_args(["list"]).since == 12 * 3600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["watch", "lucca-leave", "--help"], "summaryId"), (["list", "--help"], "AIRFLOW_CLI_TOKEN")],
)
def test_help_imports_neither_airflow_nor_rich(arguments, words):
    code = (
        "import sys; from airflow_import_progress.cli.main import main\n"
        f"sys.argv[1:] = {arguments}\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, {'airflow', 'rich', 'pendulum', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert words in done.stdout
    assert done.stdout.splitlines()[-1] == "0 set()"
