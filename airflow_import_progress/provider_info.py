# SPDX-License-Identifier: Apache-2.0
"""
What Airflow learns about this provider at discovery.

It imports nothing, because every Airflow process loads it. The fields of the connection forms are declared
here once: Airflow reads them from here since 3.2, and the hooks derive from them what older versions ask for.
"""

from __future__ import annotations

from typing import Any

#: The same triggers wait for the imports of all vendors.
_TRIGGERS = ["airflow_import_progress.triggers.import_progress", "airflow_import_progress.triggers.start"]


def shared_conn_fields(
    *, limit: str = "as many as they like", page: str = "Empty: no button."
) -> dict[str, dict[str, Any]]:
    """
    Return the extras that the connections of all vendors share.

    :param limit: How many requests a minute are sent at the most by default, in words.
    :param page: What to enter for the vendor's page of an import, and what comes of nothing, as sentences.
    """
    return {
        "import_page": {
            "label": "Page of an import",
            "description": f"Where the button on a waiting task leads to. {page}",
            "schema": {"type": ["string", "null"]},
        },
        "requests_per_minute": {
            "label": "Requests a minute",
            "description": f"The most that all waits of one triggerer send together, from 0.1. Empty: {limit}.",
            "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": 100_000},
        },
        "timeout": {
            "label": "Request timeout",
            "description": "How long one request may take, in seconds, from 0.1 to 300. Empty: 30.",
            "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": 300},
        },
        "verify": {
            "label": "Verify TLS",
            "description": "true, false, or the path of a file with the certificates to trust. Empty: true.",
            "schema": {"type": ["string", "null"]},
        },
        "proxy": {
            "label": "Proxy",
            "description": "Address of an HTTP proxy, such as http://proxy.example:3128. Empty: none.",
            "schema": {"type": ["string", "null"]},
        },
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as ``provider_info.schema.json`` of Airflow describes it."""
    return {
        "package-name": "airflow-provider-import-progress",
        "name": "Import Progress",
        "description": "Hooks and deferrable sensors that wait until a vendor's bulk import is really done.",
        "integrations": [
            {
                "integration-name": "Lucca",
                "external-doc-url": "https://developers.luccasoftware.com/",
                "tags": ["service"],
            },
            {
                "integration-name": "Rocket.Chat",
                "external-doc-url": "https://developer.rocket.chat/",
                "tags": ["service"],
            },
            {
                "integration-name": "Zilliz",
                "external-doc-url": "https://docs.zilliz.com/",
                "tags": ["service"],
            },
            {
                "integration-name": "Leadsy",
                "external-doc-url": "https://docs.staging.leadsygroup.com/",
                "tags": ["service"],
            },
        ],
        "hooks": [
            {"integration-name": "Lucca", "python-modules": ["airflow_import_progress.hooks.lucca"]},
            {"integration-name": "Rocket.Chat", "python-modules": ["airflow_import_progress.hooks.rocketchat"]},
            {"integration-name": "Zilliz", "python-modules": ["airflow_import_progress.hooks.zilliz"]},
            {"integration-name": "Leadsy", "python-modules": ["airflow_import_progress.hooks.leadsy"]},
        ],
        "sensors": [
            {"integration-name": "Lucca", "python-modules": ["airflow_import_progress.sensors.lucca"]},
            {"integration-name": "Rocket.Chat", "python-modules": ["airflow_import_progress.sensors.rocketchat"]},
            {"integration-name": "Zilliz", "python-modules": ["airflow_import_progress.sensors.zilliz"]},
            {"integration-name": "Leadsy", "python-modules": ["airflow_import_progress.sensors.leadsy"]},
        ],
        "triggers": [
            {"integration-name": "Lucca", "python-modules": _TRIGGERS},
            {"integration-name": "Rocket.Chat", "python-modules": _TRIGGERS},
            {"integration-name": "Zilliz", "python-modules": _TRIGGERS},
            {"integration-name": "Leadsy", "python-modules": _TRIGGERS},
        ],
        "extra-links": ["airflow_import_progress.links.ImportLink"],
        "connection-types": [
            {
                "connection-type": "lucca",
                "hook-class-name": "airflow_import_progress.hooks.lucca.LuccaHook",
                "hook-name": "Lucca",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "extra"],
                    "relabeling": {"host": "Host", "password": "API key", "port": "Port", "schema": "Scheme"},
                    "placeholders": {
                        "host": "acme.ilucca.net",
                        "password": "the key that Lucca gave you",
                        "port": "443; the Test button of Airflow 3.3 needs it",
                        "schema": "https",
                    },
                },
                "conn-fields": shared_conn_fields(
                    limit="50, Lucca's limit",
                    page="Such as https://acme.ilucca.net/…/{summary_id}. Empty: no button.",
                ),
            },
            {
                "connection-type": "rocketchat",
                "hook-class-name": "airflow_import_progress.hooks.rocketchat.RocketChatHook",
                "hook-name": "Rocket.Chat",
                "ui-field-behaviour": {
                    "hidden-fields": ["extra"],
                    "relabeling": {
                        "host": "Host",
                        "login": "User ID or name",
                        "password": "Token or password",
                        "port": "Port",
                        "schema": "Scheme",
                    },
                    "placeholders": {
                        "host": "chat.example.com",
                        "login": "the ID of the user, such as aobEdbYhXfu5hkeqG",
                        "password": "a personal access token of this user",
                        "port": "443; the Test button of Airflow 3.3 needs it",
                        "schema": "https",
                    },
                },
                "conn-fields": {
                    "auth_method": {
                        "label": "Authentication",
                        "description": "token: a user's ID and a personal access token. password: a user's name and "
                        "password. Empty: token.",
                        "schema": {"type": ["string", "null"], "default": "token", "enum": ["token", "password"]},
                    },
                    **shared_conn_fields(
                        limit="10 to each endpoint, Rocket.Chat's limit",
                        page="Empty: the workspace's list of imports, /admin/import at the host.",
                    ),
                },
            },
            {
                "connection-type": "zilliz",
                "hook-class-name": "airflow_import_progress.hooks.zilliz.ZillizHook",
                "hook-name": "Zilliz",
                "ui-field-behaviour": {
                    "hidden-fields": ["extra"],
                    "relabeling": {
                        "host": "Host",
                        "login": "Milvus user",
                        "password": "API key or password",
                        "port": "Port",
                        "schema": "Scheme",
                    },
                    "placeholders": {
                        "host": "api.cloud.zilliz.com; empty with a cloud region",
                        "login": "empty for an API key",
                        "password": "the API key, or the password of the Milvus user",
                        "port": "443, of a Milvus usually 19530; the Test button of Airflow 3.3 needs it",
                        "schema": "https",
                    },
                },
                "conn-fields": {
                    "cluster_id": {
                        "label": "Cluster ID",
                        "description": "Of imports that name none, such as in01-1234567890abcde. Empty for a Milvus.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "cloud_region": {
                        "label": "Cloud region",
                        "description": "For v1 in place of the host, such as gcp-us-west1.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "api_version": {
                        "label": "API version",
                        "description": "v2 for a Milvus. Empty: v2 at api.cloud.zilliz.com, v1 at any other host.",
                        "schema": {"type": ["string", "null"], "enum": ["v1", "v2"]},
                    },
                    **shared_conn_fields(
                        limit="1,200, Zilliz's limit",
                        page="Such as https://cloud.zilliz.com/…/{job_id}. Empty: no button.",
                    ),
                },
            },
            {
                "connection-type": "leadsy",
                "hook-class-name": "airflow_import_progress.hooks.leadsy.LeadsyHook",
                "hook-name": "Leadsy",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "extra"],
                    "relabeling": {"host": "Host", "password": "Token", "port": "Port", "schema": "Scheme"},
                    "placeholders": {
                        "host": "the host of Leadsy's API, such as leadsy.example.com",
                        "password": "the token alone, without Bearer",
                        "port": "443; the Test button of Airflow 3.3 needs it",
                        "schema": "https",
                    },
                },
                "conn-fields": {
                    "auth_scheme": {
                        "label": "Authentication scheme",
                        "description": "The word in front of the token; none sends the token alone. Empty: Bearer.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "status_map": {
                        "label": "Status map",
                        "description": "What Leadsy's statuses mean, as a JSON object of names or integers to states, "
                        'such as {"partially_completed": "succeeded"}. Empty: what their names say.',
                        "schema": {"type": ["string", "object", "null"], "format": "multiline"},
                    },
                    **shared_conn_fields(
                        page="Such as https://leadsy.example.com/…/{import_code}. Empty: no button.",
                    ),
                },
            },
        ],
    }
