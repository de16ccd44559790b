# SPDX-License-Identifier: Apache-2.0
"""The target of the button on a waiting task."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_import_progress.exceptions import ImportRequestError
from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport, LuccaUserLocationImport
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob
from airflow_import_progress.http.connection import fill_placeholders, read_import_page
from airflow_import_progress.links import ImportLink
from airflow_import_progress.provider_info import get_provider_info
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

LEAVES = LuccaLeaveImport(summary_id="3c90c3cc")


@pytest.fixture
def hook_to(monkeypatch):
    def make(hook_class, **fields):
        extra = json.dumps(fields.pop("extra", {}))
        connection = Connection(
            conn_id="here", **{"conn_type": hook_class.conn_type, "password": "k", "extra": extra, **fields}
        )
        monkeypatch.setattr(hook_class, "get_connection", lambda *_: connection)
        monkeypatch.setattr(hook_class, "aget_connection", mock.AsyncMock(return_value=connection), raising=False)
        return hook_class("here")

    return make


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("https://acme.ilucca.net/imports/{summary_id}", "https://acme.ilucca.net/imports/3c90c3cc"),
        ("http://acme.example:8080/?id={summary_id}#top", "http://acme.example:8080/?id=3c90c3cc#top"),
        ("https://acme.ilucca.net/imports", "https://acme.ilucca.net/imports"),
        (" https://acme.ilucca.net/imports ", "https://acme.ilucca.net/imports"),
    ],
)
def test_the_address_is_that_of_the_connection(hook_to, page, address):
    hook = hook_to(LuccaHook, host="acme.ilucca.net", extra={"import_page": page})
    assert hook.import_url(LEAVES) == address


async def test_the_address_is_the_same_on_an_event_loop(hook_to):
    extra = {"import_page": "https://acme.ilucca.net/{summary_id}"}
    hook = hook_to(LuccaHook, host="acme.ilucca.net", extra=extra)
    assert await hook.aimport_url(LEAVES) == "https://acme.ilucca.net/3c90c3cc"


def test_values_are_quoted():
    assert (
        fill_placeholders("https://a.example/{id}/x", {"id": "../b?c=d#e f"})
        == "https://a.example/..%2Fb%3Fc%3Dd%23e%20f/x"
    )


def test_there_is_no_address_if_the_import_lacks_a_placeholder(hook_to):
    page = {"import_page": "https://cloud.zilliz.com/{cluster_id}/{job_id}"}
    hook = hook_to(ZillizHook, host="a.example", extra=page)
    assert hook.import_url(ZillizImportJob(job_id="job-1")) is None
    known = ZillizImportJob(job_id="job-1", cluster_id="in01")
    assert hook.import_url(known) == "https://cloud.zilliz.com/in01/job-1"


@pytest.mark.parametrize("given", [None, ""])
@pytest.mark.parametrize(
    ("hook_class", "import_"),
    [
        (LuccaHook, LEAVES),
        (LuccaHook, LuccaUserLocationImport(summary_id="3c90c3cc")),
        (ZillizHook, ZillizImportJob(job_id="job-1")),
        (LeadsyHook, LeadsyImport(import_code="IMP-1")),
    ],
)
def test_there_is_no_address_if_the_vendor_documents_none(hook_to, hook_class, import_, given):
    hook = hook_to(hook_class, host="a.example", extra={"import_page": given})
    assert hook.import_url(import_) is None


def test_rocketchat_has_a_list_of_imports(hook_to):
    hook = hook_to(RocketChatHook, host="chat.example.com", login="u")
    assert hook.import_url(RocketChatImport()) == "https://chat.example.com/admin/import"


@pytest.mark.parametrize(
    "given",
    [
        "javascript:alert(1)",
        "ftp://a.example/",
        "acme.example/imports",
        "https://",
        "https://{summary_id}.example/",
        "https://user:secret@a.example/",
        "https://a.example/{summary_id",
        "https://a.example/{}",
        "https://a.example/{summary_id!r}",
        "https://a.example/{summary_id.x}",
        "https://a.example/{other}",
        "https://a.example/a b",
        7,
    ],
)
def test_an_invalid_page_is_rejected(given):
    with pytest.raises(ImportRequestError, match="import_page") as refusal:
        read_import_page(given, ["summary_id"])
    assert "secret" not in str(refusal.value)


def test_the_error_for_an_unknown_placeholder_lists_the_available_ones():
    with pytest.raises(ImportRequestError, match=r"the unknown placeholder \{other\}\. Available: cluster_id, job_id"):
        read_import_page("https://a.example/{other}", ["job_id", "cluster_id"])


def test_an_invalid_page_does_not_fail_a_wait(hook_to):
    hook = hook_to(LuccaHook, host="acme.ilucca.net", extra={"import_page": "nonsense"})
    assert hook.import_url(LEAVES) is None


def test_an_unusable_connection_has_no_page(hook_to):
    assert hook_to(LuccaHook, host=None).import_url(LEAVES) is None


class TestLink:
    def test_the_provider_registers_it(self):
        assert get_provider_info()["extra-links"] == ["airflow_import_progress.links.ImportLink"]

    def test_it_is_the_address_of_the_sensor(self, hook_to):
        hook_to(LuccaHook, host="a.example", extra={"import_page": "https://a.example/{summary_id}"})
        sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="3c90c3cc", lucca_conn_id="here")
        (link,) = sensor.operator_extra_links
        assert link.name == "Import at the vendor"
        assert link.get_link(sensor, ti_key=None) == "https://a.example/3c90c3cc"

    def test_it_is_empty_without_a_page(self, hook_to):
        hook_to(LuccaHook, host="a.example")
        sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="3c90c3cc", lucca_conn_id="here")
        # Airflow would turn None into a link to "None".
        assert ImportLink().get_link(sensor, ti_key=None) == ""

    def test_it_is_empty_without_a_valid_import(self):
        sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="{{ params.id }}")
        sensor.summary_id = None
        assert ImportLink().get_link(sensor, ti_key=None) == ""
