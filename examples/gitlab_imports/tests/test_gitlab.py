# SPDX-License-Identifier: Apache-2.0
"""The hook, the sensor and the operator against the simulated GitLab."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.vendor import (
    ImportFailedError,
    ImportProtocolError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from gitlab_imports.hooks import GitLabHook, GitLabProjectImport
from gitlab_imports.operators import GitLabProjectImportOperator
from gitlab_imports.sensors import GitLabProjectImportSensor

EXPORT = gzip.compress(b"an export")
#: The answer in GitLab's documentation.
DOCUMENTED = {
    "id": 1,
    "description": "Itaque perspiciatis minima aspernatur corporis consequatur.",
    "name": "Gitlab Test",
    "name_with_namespace": "Gitlab Org / Gitlab Test",
    "path": "gitlab-test",
    "path_with_namespace": "gitlab-org/gitlab-test",
    "created_at": "2017-08-29T04:36:44.383Z",
    "import_status": "started",
    "import_type": "github",
    "correlation_id": "mezklWso3Za",
    "failed_relations": [
        {
            "id": 42,
            "created_at": "2020-04-02T14:48:59.526Z",
            "exception_class": "RuntimeError",
            "exception_message": "A failure occurred",
            "source": "custom error context",
            "relation_name": "merge_requests",
            "line_number": 0,
        }
    ],
}


@pytest.fixture
def sandbox(monkeypatch):
    with Sandbox(import_duration=0) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_GITLAB_DEFAULT", json.dumps(sandbox.airflow_connection("gitlab")))
        yield sandbox


def progress_of(sandbox, *answers):
    project_id = sandbox.create_import("gitlab", "project", {"answers": list(answers)})
    return GitLabHook().get_progress(GitLabProjectImport(project_id))


def wait(project_id, **arguments):
    sensor = GitLabProjectImportSensor(task_id="wait", project_id=project_id, deferrable=False, **arguments)
    return sensor.execute({})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("scheduled", "pending"),
        ("started", "running"),
        ("finished", "succeeded"),
        ("failed", "failed"),
        ("canceled", "cancelled"),
    ],
)
def test_each_status_has_a_meaning(sandbox, status, state):
    progress = progress_of(sandbox, {**DOCUMENTED, "import_status": status})
    assert (progress.state, progress.vendor_status) == (state, status)


def test_an_unknown_status_is_never_a_success(sandbox):
    with pytest.raises(ImportProtocolError, match="a known import_status"):
        progress_of(sandbox, {**DOCUMENTED, "import_status": "done"})


def test_a_project_that_was_not_imported_is_reported(sandbox):
    with pytest.raises(ImportRequestError, match=r"was not imported\. Check the project_id"):
        progress_of(sandbox, {**DOCUMENTED, "import_status": "none", "failed_relations": []})


def test_failed_relations_are_counted_and_quoted(sandbox):
    progress = progress_of(sandbox, DOCUMENTED)
    assert progress.failed == 1
    assert progress.message == "merge_requests: A failure occurred"


def test_a_full_list_of_failed_relations_is_not_a_count(sandbox):
    project_id = sandbox.create_import("gitlab", "project", {"duration": 0, "failed_records": 500})
    progress = GitLabHook().get_progress(GitLabProjectImport(project_id))
    assert progress.failed is None
    assert "and at least 95 more failed relations" in progress.message
    with pytest.raises(ImportFailedError, match="max_failed_records"):
        wait(project_id, max_failed_records=99)


def test_an_answer_without_the_list_has_no_count(sandbox):
    progress = progress_of(sandbox, {"id": 1, "import_status": "finished"})
    assert (progress.state, progress.failed) == ("succeeded", None)


def test_both_transports_return_the_same(sandbox):
    project_id = sandbox.create_import("gitlab", "project", {"duration": 0, "failed_records": 3})
    import_ = GitLabProjectImport(project_id)
    assert asyncio.run(GitLabHook().aget_progress(import_)) == GitLabHook().get_progress(import_)


def test_a_wrong_token_is_reported_and_not_recorded(sandbox):
    sandbox.set_credentials("gitlab", token="another")
    with pytest.raises(ImportRequestError, match=r"HTTP 401.*401 Unauthorized.*Enter a valid access token"):
        GitLabHook().get_progress(GitLabProjectImport("1"))
    assert {request["headers"]["PRIVATE-TOKEN"] for request in sandbox.requests()} == {"***"}


def test_an_unknown_project_is_reported(sandbox):
    with pytest.raises(ImportRequestError, match=r"HTTP 404.*404 Project Not Found.*Check the project_id"):
        wait("group/unknown")


def test_the_test_button_names_the_user(sandbox):
    assert GitLabHook().test_connection() == (True, f"{sandbox.url} accepted the token of sandbox-importer.")


def test_an_import_that_is_finished_passes(sandbox):
    project_id = sandbox.create_import("gitlab", "project", {"duration": 0, "failed_records": 2})
    assert wait(project_id)["state"] == "succeeded"
    with pytest.raises(ImportFailedError, match="max_failed_records"):
        wait(project_id, max_failed_records=1)


def test_a_failed_import_fails_the_task_with_gitlabs_error(sandbox):
    project_id = sandbox.create_import("gitlab", "project", {"fail_at": 0, "reason": "no VERSION file"})
    with pytest.raises(ImportFailedError, match=r"no VERSION file.*Check the import's error"):
        wait(project_id)


def test_a_project_is_found_by_its_path(sandbox):
    started = GitLabHook().start_project_import(EXPORT, path="api", namespace="group/sub")
    assert wait("group/sub/api")["state"] == "succeeded"
    assert GitLabHook().find_project_import("group/sub/api") == started


def test_a_project_that_exists_is_not_imported_again(sandbox):
    GitLabHook().start_project_import(EXPORT, path="api", namespace="group")
    with pytest.raises(ImportStartRefusedError, match="Path has already been taken"):
        GitLabHook().start_project_import(EXPORT, path="api", namespace="group")
    assert len(sandbox.imports()) == 1


def test_a_lost_answer_is_unknown(sandbox):
    sandbox.add_fault({"reset": True}, path_contains="/projects/import", processed=True)
    with pytest.raises(ImportStartUnknownError):
        GitLabHook().start_project_import(EXPORT, path="api", namespace="group")
    assert len(sandbox.imports()) == 1


def operator():
    return GitLabProjectImportOperator(task_id="import", file=EXPORT, path="api", namespace="group", deferrable=False)


def test_the_operator_notes_how_to_find_its_import_again(sandbox):
    start = operator().prepare(GitLabHook())
    assert start.notes == {"full_path": "group/api", "existed": False}
    started = start.send()
    assert operator().prepare(GitLabHook()).notes["existed"] is True
    assert GitLabHook().find_project_import("group/api") == started


def test_a_file_that_is_not_an_archive_fails_in_gitlab(sandbox):
    started = GitLabHook().start_project_import(b"not an archive", path="api", namespace="group")
    with pytest.raises(ImportFailedError, match="not in gzip format"):
        wait(started.project_id)
