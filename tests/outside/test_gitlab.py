# SPDX-License-Identifier: Apache-2.0
"""
The operator of examples/gitlab_imports: it starts each import once, whatever happens.

``tests/integration/test_add_a_vendor.py`` runs it where that package is installed.
"""

from __future__ import annotations

import gzip

import pytest

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.vendor import ImportStartRefusedError, ImportStartUnknownError
from gitlab_imports.hooks import GitLabHook
from gitlab_imports.operators import GitLabProjectImportOperator
from gitlab_imports.sensors import GitLabProjectImportSensor

EXPORT = gzip.compress(b"an export")
PROJECT = {"file": EXPORT, "path": "api", "namespace": "group"}


@pytest.fixture(scope="module")
def running_sandbox():
    with Sandbox(import_duration=0) as sandbox:
        yield sandbox


@pytest.fixture
def gitlab(running_sandbox, connect_to):
    connect_to("gitlab")
    yield running_sandbox
    running_sandbox.reset()


def test_the_sensor_waits_for_the_end(gitlab, run_sensor):
    answers = [{"import_status": status} for status in ("scheduled", "started", "finished")]
    project_id = gitlab.create_import("gitlab", "project", {"answers": answers})
    assert run_sensor(GitLabProjectImportSensor, project_id=project_id)["state"] == "succeeded"
    assert gitlab.request_count(project_id) == 3


def test_an_import_is_started_and_waited_for(gitlab, operator_task):
    assert operator_task(GitLabProjectImportOperator, **PROJECT).run()["state"] == "succeeded"
    assert len(gitlab.imports()) == 1


def test_a_start_whose_answer_is_lost_is_found_again(gitlab, operator_task):
    gitlab.add_fault({"reset": True}, path_contains="/projects/import", processed=True)
    assert operator_task(GitLabProjectImportOperator, **PROJECT).run()["state"] == "succeeded"
    assert len(gitlab.imports()) == 1


def test_a_start_that_cannot_be_found_is_left_to_a_person(gitlab, operator_task):
    gitlab.add_fault({"reset": True}, path_contains="/projects/import")
    with pytest.raises(ImportStartUnknownError, match="Check whether the project exists in GitLab"):
        operator_task(GitLabProjectImportOperator, **PROJECT).run()
    assert gitlab.imports() == []


def test_a_project_that_exists_is_not_taken_for_the_import(gitlab, operator_task):
    GitLabHook().start_project_import(EXPORT, path="api", namespace="group")
    gitlab.add_fault({"reset": True}, path_contains="/projects/import")
    with pytest.raises(ImportStartUnknownError):
        operator_task(GitLabProjectImportOperator, **PROJECT).run()


def test_a_refused_start_started_nothing(gitlab, operator_task):
    GitLabHook().start_project_import(EXPORT, path="api", namespace="group")
    with pytest.raises(ImportStartRefusedError, match="Path has already been taken"):
        operator_task(GitLabProjectImportOperator, **PROJECT).run()
    assert len(gitlab.imports()) == 1
