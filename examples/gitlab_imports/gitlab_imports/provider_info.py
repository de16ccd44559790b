# SPDX-License-Identifier: Apache-2.0
"""The metadata of the provider, which Airflow reads at discovery."""

from __future__ import annotations

from typing import Any

from airflow_import_progress.vendor import connection_type, shared_conn_fields


def get_provider_info() -> dict[str, Any]:
    """Return the metadata."""
    return {
        "package-name": "gitlab-imports",
        "name": "GitLab imports",
        "description": "Imports of projects into GitLab.",
        "connection-types": [
            connection_type(
                "gitlab",
                hook="gitlab_imports.hooks.GitLabHook",
                name="GitLab",
                labels={"password": "Access token"},
                placeholders={"host": "gitlab.com", "password": "a token with the scope api"},
                fields=shared_conn_fields(
                    page="Such as https://gitlab.com/projects/{project_id}. Empty: no button.",
                ),
            )
        ],
    }
