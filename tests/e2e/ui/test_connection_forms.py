# SPDX-License-Identifier: Apache-2.0
"""Each vendor's connection form: what it shows, what it stores, and what its "Test" button says."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.ui.browsing import Screenshots
from tests.e2e.ui.connection_form import EXTRAS, STANDARD, ConnectionForm, Field, words_of_test
from tools.local_airflow import LocalAirflow

SHARED = {
    "import_page": "Page of an import",
    "requests_per_minute": "Requests a minute",
    "timeout": "Request timeout",
    "verify": "Verify TLS",
    "proxy": "Proxy",
}


@dataclass(frozen=True)
class Form:
    """
    What is expected of a vendor's form.

    :param title: The vendor's name in the list of connection types.
    :param standard: The labels of the standard fields, from the top, by the connection's fields.
    :param extras: The labels of the extra fields, from the top, by the extras.
    :param entries: What a person enters into the extra fields, by label.
    :param stored: What the connection's extra has of that.
    :param verified: What "Test" says of it.
    :param verified_of_least: What "Test" says of a connection with nothing but address and credentials.
    :param refused: What "Test" says of a wrong secret.
    :param package: The package that declares it.
    """

    title: str
    standard: dict[str, str]
    extras: dict[str, str]
    entries: dict[str, str]
    stored: dict[str, Any]
    verified: str
    verified_of_least: str = ""
    refused: str = "did not accept the"
    package: str = "airflow_import_progress"


COMMON_ENTRIES = {"Requests a minute": "1200", "Request timeout": "12.5", "Verify TLS": "false"}
COMMON_STORED = {"requests_per_minute": 1200, "timeout": 12.5, "verify": "false", "proxy": None}

FORMS = {
    "lucca": Form(
        "Lucca",
        {"description": "Description", "host": "Host", "password": "API key", "port": "Port", "schema": "Scheme"},
        SHARED,
        {"Page of an import": "https://acme.ilucca.net/imports/{summary_id}", **COMMON_ENTRIES},
        {"import_page": "https://acme.ilucca.net/imports/{summary_id}", **COMMON_STORED},
        "accepted the API key for leave imports and user location imports",
    ),
    "rocketchat": Form(
        "Rocket.Chat",
        {
            "description": "Description",
            "host": "Host",
            "login": "User ID or name",
            "password": "Token or password",
            "port": "Port",
            "schema": "Scheme",
        },
        {"auth_method": "Authentication", **SHARED},
        {"Authentication": "token", **COMMON_ENTRIES},
        {"auth_method": "token", "import_page": None, **COMMON_STORED},
        "accepted the credentials, and the user may see imports",
    ),
    "zilliz": Form(
        "Zilliz",
        {
            "description": "Description",
            "host": "Host",
            "login": "Milvus user",
            "password": "API key or password",
            "port": "Port",
            "schema": "Scheme",
        },
        {"cluster_id": "Cluster ID", "cloud_region": "Cloud region", "api_version": "API version", **SHARED},
        {"Cluster ID": "in01-sandbox", "API version": "v1", **COMMON_ENTRIES},
        {
            "cluster_id": "in01-sandbox",
            "cloud_region": None,
            "api_version": "v1",
            "import_page": None,
            **COMMON_STORED,
        },
        "accepted the credentials for the import jobs of cluster 'in01-sandbox' (v1)",
        "accepted the credentials. Enter the extra 'cluster_id' to verify that they may read its import jobs",
    ),
    "leadsy": Form(
        "Leadsy",
        {"description": "Description", "host": "Host", "password": "Token", "port": "Port", "schema": "Scheme"},
        {"auth_scheme": "Authentication scheme", "status_map": "Status map", **SHARED},
        {"Authentication scheme": "Bearer", "Status map": '{\n  "listo": "succeeded"\n}', **COMMON_ENTRIES},
        {"auth_scheme": "Bearer", "status_map": {"listo": "succeeded"}, "import_page": None, **COMMON_STORED},
        "accepted the token and listed its imports",
    ),
    # That of another package, docs/add-a-vendor.md.
    "acme": Form(
        "Acme",
        {"description": "Description", "host": "Host", "password": "Token", "port": "Port", "schema": "Scheme"},
        SHARED,
        {"Page of an import": "https://acme.example/jobs/{job_id}", **COMMON_ENTRIES},
        {"import_page": "https://acme.example/jobs/{job_id}", **COMMON_STORED},
        "accepted the token",
        refused="Enter a valid token",
        package="acme_imports",
    ),
}
VENDORS = pytest.mark.parametrize("vendor", FORMS)
#: For what the package of a vendor makes no difference to.
OWN_VENDORS = pytest.mark.parametrize("vendor", ["lucca", "rocketchat", "zilliz", "leadsy"])


def declared(vendor: str) -> dict[str, Any]:
    """Return what a vendor's package declares of the form."""
    provider = importlib.import_module(f"{FORMS[vendor].package}.provider_info").get_provider_info()
    return next(declared for declared in provider["connection-types"] if declared["connection-type"] == vendor)


def credentials(vendor: str, connection: dict[str, Any]) -> dict[str, str]:
    """Return what a person enters into the standard fields for a connection to the sandbox, by label."""
    names = FORMS[vendor].standard
    given = {name: connection[name] for name in ("host", "port", "schema", "login", "password") if name in connection}
    return {names[name]: str(value) for name, value in given.items()}


@VENDORS
def test_the_form_shows_the_fields_of_the_vendor_and_no_others(page: Page, vendor: str) -> None:
    expected, fields = FORMS[vendor], declared(vendor)["conn-fields"]
    placeholders = declared(vendor)["ui-field-behaviour"]["placeholders"]
    form = ConnectionForm.new(page, f"{vendor}_seen", expected.title)
    assert form.fields(STANDARD) == [
        Field(label, None, placeholders.get(name)) for name, label in expected.standard.items()
    ]
    extras = [(shown.label, shown.help) for shown in form.fields(EXTRAS)]
    assert extras == [(label, fields[name]["description"]) for name, label in expected.extras.items()]


@OWN_VENDORS
def test_the_secret_is_masked(page: Page, vendor: str) -> None:
    form = ConnectionForm.new(page, f"{vendor}_masked", FORMS[vendor].title)
    form.enter(STANDARD, {FORMS[vendor].standard["password"]: "shown-to-nobody"})
    expect(form.secret()).to_have_attribute("type", "password")


@VENDORS
def test_what_was_entered_is_stored_shown_again_and_works(
    page: Page, airflow: LocalAirflow, sandbox: Sandbox, vendor: str
) -> None:
    expected, conn_id, connection = FORMS[vendor], f"{vendor}_entered", sandbox.airflow_connection(vendor)
    form = ConnectionForm.new(page, conn_id, expected.title)
    form.enter(STANDARD, credentials(vendor, connection))
    form.enter(EXTRAS, expected.entries)
    form.save()
    stored = airflow.api.connection(conn_id)
    assert json.loads(stored["extra"]) == expected.stored
    assert (stored["host"], stored["port"], stored["schema"]) == ("127.0.0.1", connection["port"], "http")
    assert expected.verified in words_of_test(page, conn_id)

    form = ConnectionForm.stored(page, conn_id)
    entered = credentials(vendor, connection) | {FORMS[vendor].standard["password"]: "***"}
    assert form.values(STANDARD).items() >= entered.items()
    assert form.values(EXTRAS).items() >= expected.entries.items()
    form.save()
    assert json.loads(airflow.api.connection(conn_id)["extra"]) == expected.stored
    assert expected.verified in words_of_test(page, conn_id)


@OWN_VENDORS
def test_address_and_credentials_are_enough(page: Page, sandbox: Sandbox, vendor: str) -> None:
    conn_id = f"{vendor}_least"
    form = ConnectionForm.new(page, conn_id, FORMS[vendor].title)
    form.enter(STANDARD, credentials(vendor, sandbox.airflow_connection(vendor)))
    form.save()
    words = words_of_test(page, conn_id)
    assert words.startswith("Test Connection Success")
    assert (FORMS[vendor].verified_of_least or FORMS[vendor].verified) in words


@VENDORS
def test_the_test_button_reports_a_wrong_secret(
    page: Page, airflow: LocalAirflow, sandbox: Sandbox, vendor: str
) -> None:
    airflow.api.add_connection(f"{vendor}_refused", {**sandbox.airflow_connection(vendor), "password": "not-the-key"})
    words = words_of_test(page, f"{vendor}_refused")
    assert words.startswith("Test Connection Failed")
    assert FORMS[vendor].refused in words


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"port": 9}, "the connection was refused", id="vendor down"),
        pytest.param({"host": "nowhere.invalid"}, "the host name could not be resolved", id="unknown host"),
        pytest.param({"host": "127.0.0.1/../api"}, "must be a host name, such as", id="odd path in the host"),
        pytest.param({"extra": {"timeout": "soon"}}, "must be seconds from 0.1 to 300", id="no number"),
        pytest.param({"extra": {"import_page": "https://a.example/{x}"}}, "unknown placeholder {x}", id="no page"),
    ],
)
@OWN_VENDORS
def test_the_test_button_says_what_is_wrong(
    page: Page, airflow: LocalAirflow, sandbox: Sandbox, vendor: str, change: dict[str, Any], said: str
) -> None:
    conn_id = f"{vendor}_{'_'.join(change)}_{len(said)}"
    airflow.api.add_connection(conn_id, {**sandbox.airflow_connection(vendor), **change})
    words = words_of_test(page, conn_id)
    assert words.startswith("Test Connection Failed")
    assert said in words


def test_a_status_map_that_is_an_object_survives_the_form(page: Page, airflow: LocalAirflow, sandbox: Sandbox) -> None:
    extra = {"status_map": {"listo": "succeeded"}, "verify": False}
    airflow.api.add_connection("leadsy_object", {**sandbox.airflow_connection("leadsy"), "extra": extra})
    form = ConnectionForm.stored(page, "leadsy_object")
    assert json.loads(form.values(EXTRAS)["Status map"]) == extra["status_map"]
    form.save()
    assert json.loads(airflow.api.connection("leadsy_object")["extra"]) == extra
    assert FORMS["leadsy"].verified in words_of_test(page, "leadsy_object")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_form_for_the_documentation(page: Page, screenshots: Screenshots, color_scheme: str) -> None:
    page.set_viewport_size({"width": 1100, "height": 1550})
    form = ConnectionForm.new(page, "zilliz_default", "Zilliz")
    form.show(STANDARD)
    screenshots.take(page, f"connection-form-{color_scheme}", "[role=dialog]")
    form.show(EXTRAS)
    screenshots.take(page, f"connection-form-extras-{color_scheme}", "[role=dialog]")
