# SPDX-License-Identifier: Apache-2.0
"""What Airflow learns about the provider."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.triggers.base import BaseTrigger

from airflow_import_progress.compat import BaseHook, BaseSensorOperator
from airflow_import_progress.provider_info import get_provider_info

INFO = get_provider_info()


def airflow_schema(name):
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def test_is_valid_by_the_installed_airflows_schema():
    jsonschema.validate(INFO, airflow_schema("provider_info.schema.json"))


def test_the_form_is_valid_by_the_schema_of_airflows_own_providers():
    schema = airflow_schema("provider.yaml.schema.json")["properties"]["connection-types"]
    if "conn-fields" not in json.dumps(schema):
        pytest.skip("this Airflow takes the form from the hook")
    jsonschema.validate(INFO["connection-types"], schema)


def test_the_entry_point_leads_to_it():
    (entry_point,) = (
        entry_point
        for entry_point in metadata.entry_points(group="apache_airflow_provider")
        if entry_point.value.startswith("airflow_import_progress")
    )
    assert entry_point.load() is get_provider_info


def test_imports_nothing_of_airflow():
    program = (
        "import sys, airflow_import_progress.provider_info as info; info.get_provider_info(); "
        "print([name for name in sys.modules if name.split('.')[0] in ('airflow', 'requests', 'aiohttp')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", [m for kind in ("hooks", "sensors", "triggers") for e in INFO[kind] for m in e["python-modules"]]
)
def test_every_module_that_is_named_exists(module):
    importlib.import_module(module)


@pytest.mark.parametrize("declared", INFO["connection-types"], ids=lambda declared: declared["connection-type"])
def test_every_connection_type_has_its_hook(declared):
    module, _, name = declared["hook-class-name"].rpartition(".")
    hook_class = getattr(importlib.import_module(module), name)
    assert hook_class.conn_type == declared["connection-type"]
    assert hook_class.hook_name == declared["hook-name"]


@pytest.mark.parametrize("declared", INFO["connection-types"], ids=lambda declared: declared["connection-type"])
def test_the_form_is_the_same_for_every_airflow(declared):
    module, _, name = declared["hook-class-name"].rpartition(".")
    hook_class = getattr(importlib.import_module(module), name)
    # Airflow before 3.2 looks into the class itself, not at what it inherits.
    assert {"get_ui_field_behaviour", "get_connection_form_widgets"} <= set(vars(hook_class))
    behaviour = declared["ui-field-behaviour"]
    assert hook_class.get_ui_field_behaviour() == {
        "hidden_fields": behaviour["hidden-fields"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }
    pytest.importorskip("flask_appbuilder", reason="only Airflow before 3.2 builds its form from widgets")
    assert list(hook_class.get_connection_form_widgets()) == list(declared["conn-fields"])


@pytest.mark.parametrize("declared", INFO["connection-types"], ids=lambda declared: declared["connection-type"])
def test_the_form_names_the_limit_of_the_hook(declared):
    module, _, name = declared["hook-class-name"].rpartition(".")
    limit = getattr(importlib.import_module(module), name).requests_per_minute
    words = "Empty: no limit." if limit is None else f"Empty: {limit:,}"
    assert words in declared["conn-fields"]["requests_per_minute"]["description"]


@pytest.mark.parametrize("kind", ["sensors", "triggers"])
def test_a_dag_file_that_names_them_loads_no_http_client(kind):
    modules = [module for entry in INFO[kind] for module in entry["python-modules"]]
    program = (
        "import sys, airflow.providers.common.compat.sdk as sdk; sdk.BaseSensorOperator; before = set(sys.modules); "
        f"import {', '.join(modules)}; "
        "print([name for name in set(sys.modules) - before if name in ('aiohttp', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip().splitlines()[-1] == "[]"


#: Modules of base classes, which Airflow does not load by themselves.
BASES = (".base", ".identification", ".without_workers", ".import_end")


@pytest.mark.parametrize("kind", ["hooks", "sensors", "triggers"])
def test_every_module_that_airflow_loads_is_named(kind):
    base = {"hooks": BaseHook, "sensors": BaseSensorOperator, "triggers": BaseTrigger}[kind]
    package = importlib.import_module(f"airflow_import_progress.{kind}")
    defining = set()
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        classes = [
            value for value in vars(module).values() if isinstance(value, type) and value.__module__ == found.name
        ]
        if any(issubclass(cls, base) for cls in classes) and not found.name.endswith(BASES):
            defining.add(found.name)
    named = {module for entry in INFO[kind] for module in entry["python-modules"]}
    assert named == defining
