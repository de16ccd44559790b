# SPDX-License-Identifier: Apache-2.0
"""What keeps a tag from being released."""

from __future__ import annotations

import pytest

from tools.release_check import STORED_TRIGGERS, main, problems


@pytest.fixture
def repository(tmp_path):
    """A repository that can be released as 1.2.0."""
    (tmp_path / "airflow_import_progress").mkdir()
    (tmp_path / "airflow_import_progress" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-12-01\n")
    (tmp_path / STORED_TRIGGERS).mkdir(parents=True)
    (tmp_path / STORED_TRIGGERS / "1.2.0-lucca-leave.json").write_text("{}")
    return tmp_path


def test_a_repository_that_is_ready_has_no_problems(repository):
    assert problems("v1.2.0", repository) == []


@pytest.mark.parametrize("tag", ["v1.3.0", "1.2.0", ""])
def test_another_tag_than_the_version_is_a_problem(repository, tag):
    (problem,) = problems(tag, repository)
    assert "'v1.2.0'" in problem


def test_a_version_without_a_section_in_the_changelog_is_a_problem(repository):
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")
    (problem,) = problems("v1.2.0", repository)
    assert "CHANGELOG.md" in problem


def test_a_version_without_stored_triggers_is_a_problem(repository):
    (repository / STORED_TRIGGERS / "1.2.0-lucca-leave.json").unlink()
    (problem,) = problems("v1.2.0", repository)
    assert STORED_TRIGGERS in problem


@pytest.mark.parametrize("arguments", [[], [""], ["v1", "v2"]])
def test_the_command_demands_one_tag(arguments, capsys):
    assert main(arguments) == 2
    assert "TAG=" in capsys.readouterr().err
