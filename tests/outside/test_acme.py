# SPDX-License-Identifier: Apache-2.0
"""
The vendor of docs/add-a-vendor.md in everything that the vendors of this package have.

``tests/integration/test_add_a_vendor.py`` runs it where the package of that page is installed.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
from acme_imports import provider_info
from acme_imports.hooks import AcmeHook
from acme_imports.operators import AcmeImportOperator
from acme_imports.sensors import AcmeImportSensor

from airflow_import_progress.compat import AirflowSkipException
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.vendor import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)

FILE = b"name\nAda\n"
WORKING, DONE = {"status": "working", "percent": 50}, {"status": "done", "percent": 100}


@pytest.fixture(scope="module")
def running_sandbox():
    with Sandbox(import_duration=0) as sandbox:
        yield sandbox


@pytest.fixture
def acme(running_sandbox, connect_to):
    connect_to("acme")
    yield running_sandbox
    running_sandbox.reset()


@pytest.mark.parametrize("module", ["airflow_import_progress", "acme_imports"])
def test_the_installed_distributions_are_tested(module):
    assert importlib.import_module(module).__file__.startswith(sys.prefix)


# The sensor -------------------------------------------------------------------------------------------------


def test_an_import_that_gets_done_is_waited_for(acme, run_sensor):
    job_id = acme.create_import("acme", "job", {"answers": [WORKING, DONE]})
    assert run_sensor(AcmeImportSensor, job_id=job_id)["state"] == "succeeded"
    assert acme.request_count(job_id) == 2


def test_an_import_that_fails_fails_the_task(acme, run_sensor):
    job_id = acme.create_import("acme", "job", {"duration": 0, "fail_at": 0})
    with pytest.raises(ImportFailedError, match=r"the file has no header.*Check the job's page in Acme"):
        run_sensor(AcmeImportSensor, job_id=job_id)


def test_an_import_that_fails_is_a_skip_with_soft_fail(acme, run_sensor):
    job_id = acme.create_import("acme", "job", {"duration": 0, "fail_at": 0})
    with pytest.raises(AirflowSkipException):
        run_sensor(AcmeImportSensor, job_id=job_id, soft_fail=True)


def test_an_outage_fails_no_task(acme, run_sensor):
    job_id = acme.create_import("acme", "job", {"duration": 0})
    acme.add_fault({"status": 503}, times=3)
    assert run_sensor(AcmeImportSensor, job_id=job_id)["state"] == "succeeded"


def test_a_wrong_token_fails_the_task(acme, run_sensor):
    acme.set_credentials("acme", token="another")
    with pytest.raises(ImportRequestError, match=r"HTTP 401.*Enter a valid token"):
        run_sensor(AcmeImportSensor, job_id="job-1")


def test_the_gate_judges(acme, run_sensor):
    job_id = acme.create_import("acme", "job", {"answers": [{**DONE, "rows_failed": 2}]})
    with pytest.raises(ImportFailedError, match="max_failed_records"):
        run_sensor(AcmeImportSensor, job_id=job_id, max_failed_records=1)


def test_an_import_that_waits_for_a_person_can_fail_the_task(acme, run_sensor):
    job_id = acme.create_import("acme", "job", {"answers": [{"status": "needs_approval"}]})
    with pytest.raises(ImportActionRequiredError, match="Approve the job in Acme"):
        run_sensor(AcmeImportSensor, job_id=job_id, on_action_required="fail")


# The operator -----------------------------------------------------------------------------------------------


def test_an_operator_starts_an_import_and_waits_for_it(acme, operator_task):
    task = operator_task(AcmeImportOperator, file=FILE)
    assert task.run()["state"] == "succeeded"
    assert len(acme.imports()) == 1


def test_a_start_whose_answer_is_lost_is_found_again(acme, operator_task):
    acme.add_fault({"reset": True}, path_contains="/imports", processed=True)
    task = operator_task(AcmeImportOperator, file=FILE)
    assert task.run()["state"] == "succeeded"
    assert len(acme.imports()) == 1


def test_a_start_that_cannot_be_found_is_left_to_a_person(acme, operator_task):
    acme.add_fault({"reset": True}, path_contains="/imports")
    with pytest.raises(ImportStartUnknownError, match="Check the list of jobs in Acme"):
        operator_task(AcmeImportOperator, file=FILE).run()
    assert acme.imports() == []


def test_a_refused_start_started_nothing(acme, operator_task):
    acme.set_credentials("acme", token="another")
    with pytest.raises(ImportStartRefusedError, match="No import was started"):
        operator_task(AcmeImportOperator, file=FILE).run()


def test_a_retry_waits_for_the_import_that_was_started(acme, operator_task):
    task = operator_task(AcmeImportOperator, file=FILE, max_consecutive_failures=1)
    acme.add_fault({"status": 503}, path_contains="/imports/", times=1)
    with pytest.raises(RuntimeError):
        task.run()
    assert task.run()["state"] == "succeeded"
    assert len(acme.imports()) == 1


# The connection ---------------------------------------------------------------------------------------------


# What Airflow's UI gets of the forms: since Airflow 3, its API server makes them without the packages of Airflow 2.
FORM = """
import json
try:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
except ImportError:
    from airflow.providers_manager import ProvidersManager
    manager = ProvidersManager()
    behaviour, name = manager.field_behaviours["acme"], manager.hooks["acme"].hook_name
    password, host = behaviour["relabeling"]["password"], behaviour["placeholders"]["host"]
    hides_login = "login" in behaviour["hidden_fields"]
    extras = [name.removeprefix("extra__acme__") for name in manager.connection_form_widgets if "__acme__" in name]
else:
    forms = {form.connection_type: form for form in HookMetaService.hook_meta_data()}
    if forms["lucca"].standard_fields is None:
        print("null")
        raise SystemExit
    form = forms["acme"]
    fields, name, extras = form.standard_fields, form.hook_name, list(form.extra_fields)
    password, host, hides_login = fields.password.title, fields.host.placeholder, fields.login.hidden
print(json.dumps([name, password, host, hides_login, extras]))
"""


def test_airflow_has_the_connection_form():
    (declared,) = provider_info.get_provider_info()["connection-types"]
    done = subprocess.run([sys.executable, "-c", FORM], capture_output=True, text=True, check=True)  # noqa: S603
    answer = json.loads(done.stdout.splitlines()[-1])
    if answer is None:
        pytest.skip("Airflow 3.0 makes no forms without Flask-AppBuilder, nor for the vendors of this package")
    *form, extras = answer
    assert form == ["Acme", "Token", "api.acme.example", True]
    assert set(extras) == set(declared["conn-fields"])


def test_the_test_button_reports_what_was_verified(acme):
    assert AcmeHook().test_connection() == (True, f"{acme.url} accepted the token.")
    acme.set_credentials("acme", token="another")
    is_working, message = AcmeHook().test_connection()
    assert not is_working
    assert "Enter a valid token" in message


def test_a_button_leads_to_the_import(acme, connect_to):
    connect_to("acme", extra={"import_page": "https://acme.example/jobs/{job_id}"})
    assert AcmeImportSensor(task_id="wait", job_id="job-1").import_url() == "https://acme.example/jobs/job-1"


# The costs --------------------------------------------------------------------------------------------------


def loaded_after(program):
    """Return the names of the modules that a program has loaded."""
    program = f"{program}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("module", ["provider_info", "vendor_info"])
def test_what_airflow_and_the_command_read_first_loads_no_airflow(module):
    loaded = loaded_after(f"import acme_imports.{module}")
    assert f"acme_imports.{module}" in loaded
    assert not {"airflow", "requests", "aiohttp", "pendulum"} & loaded


def test_discovery_loads_neither_the_command_nor_the_sandbox():
    loaded = loaded_after("from airflow.providers_manager import ProvidersManager; ProvidersManager().hooks['acme']")
    assert "acme_imports.provider_info" in loaded
    assert not {"acme_imports.vendor_info", "acme_imports.sandbox", "airflow_import_progress.sandbox"} & loaded


def test_a_dag_file_loads_no_http_client():
    before = loaded_after("import airflow.providers.common.compat.sdk as sdk; sdk.BaseSensorOperator")
    loaded = (
        loaded_after(
            "import airflow.providers.common.compat.sdk as sdk; sdk.BaseSensorOperator\n"
            "import acme_imports.sensors, acme_imports.operators"
        )
        - before
    )
    assert not {"aiohttp", "requests", "acme_imports.vendor_info", "acme_imports.sandbox"} & loaded
