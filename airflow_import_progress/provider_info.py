# SPDX-License-Identifier: Apache-2.0
"""
What Airflow learns about this provider at discovery.

It imports nothing, because every Airflow process loads it. The fields of the connection forms are declared
here once: Airflow reads them from here since 3.2, and the hooks derive from them what older versions ask for.
"""

from __future__ import annotations

from typing import Any

#: Extras that the connections of all vendors share.
SHARED_CONN_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {
        "label": "Request timeout (s)",
        "description": "How long one request may take, in seconds, from 0.1 to 300. Default 30.",
        "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": 300},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "true (default), false, or the path of a file with the certificates to trust.",
        "schema": {"type": ["string", "null"]},
    },
    "requests_per_minute": {
        "label": "Requests a minute",
        "description": "How many a triggerer may send, from 0.1. Default: what the vendor publishes, if anything.",
        "schema": {"type": ["number", "null"], "minimum": 0.1},
    },
    "proxy": {
        "label": "Proxy",
        "description": "Address of an HTTP proxy, such as http://proxy.example:3128. Default: none.",
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
            {
                "integration-name": "Lucca",
                "python-modules": ["airflow_import_progress.triggers.import_progress"],
            },
            {
                "integration-name": "Rocket.Chat",
                "python-modules": ["airflow_import_progress.triggers.import_progress"],
            },
            {
                "integration-name": "Zilliz",
                "python-modules": ["airflow_import_progress.triggers.import_progress"],
            },
            {
                "integration-name": "Leadsy",
                "python-modules": ["airflow_import_progress.triggers.import_progress"],
            },
        ],
        "connection-types": [
            {
                "connection-type": "lucca",
                "hook-class-name": "airflow_import_progress.hooks.lucca.LuccaHook",
                "hook-name": "Lucca",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "extra"],
                    "relabeling": {"host": "Host", "password": "API key", "schema": "Scheme"},
                    "placeholders": {"host": "acme.ilucca.net", "schema": "https"},
                },
                "conn-fields": SHARED_CONN_FIELDS,
            },
            {
                "connection-type": "rocketchat",
                "hook-class-name": "airflow_import_progress.hooks.rocketchat.RocketChatHook",
                "hook-name": "Rocket.Chat",
                "ui-field-behaviour": {
                    "hidden-fields": ["extra"],
                    "relabeling": {
                        "host": "Host",
                        "login": "User id",
                        "password": "Personal access token",
                        "schema": "Scheme",
                    },
                    "placeholders": {
                        "host": "chat.example.com",
                        "login": "aobEdbYhXfu5hkeqG",
                        "schema": "https",
                    },
                },
                "conn-fields": {
                    "auth_method": {
                        "label": "Authentication",
                        "description": "token (default): user id and personal access token. password: the user name "
                        "in place of the user id, and the password in place of the token.",
                        "schema": {"type": ["string", "null"], "default": "token", "enum": ["token", "password"]},
                    },
                    **SHARED_CONN_FIELDS,
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
                        "schema": "Scheme",
                    },
                    "placeholders": {
                        "host": "controller.api.gcp-us-west1.zillizcloud.com",
                        "login": "empty for an API key",
                        "schema": "https",
                    },
                },
                "conn-fields": {
                    "api_version": {
                        "label": "API version",
                        "description": "v1 (default) or v2 (a Milvus, and the default at api.cloud.zilliz.com).",
                        "schema": {"type": ["string", "null"]},
                    },
                    "cloud_region": {
                        "label": "Cloud region",
                        "description": "In place of the host of v1, such as gcp-us-west1.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "cluster_id": {
                        "label": "Cluster ID",
                        "description": "The cluster of imports that name none, such as in01-1234567890abcde.",
                        "schema": {"type": ["string", "null"]},
                    },
                    **SHARED_CONN_FIELDS,
                },
            },
            {
                "connection-type": "leadsy",
                "hook-class-name": "airflow_import_progress.hooks.leadsy.LeadsyHook",
                "hook-name": "Leadsy",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "extra"],
                    "relabeling": {"host": "Host", "password": "Token", "schema": "Scheme"},
                    "placeholders": {"host": "leadsy.example.com", "schema": "https"},
                },
                "conn-fields": {
                    "auth_scheme": {
                        "label": "Authentication scheme",
                        "description": "What stands in front of the token. Default Bearer; none sends the token alone.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "status_map": {
                        "label": "Status map",
                        "description": "What Leadsy's statuses mean, as a JSON object of names or integers to states, "
                        'such as {"partially_completed": "succeeded"}. Default: none.',
                        "schema": {"type": ["string", "object", "null"]},
                    },
                    **SHARED_CONN_FIELDS,
                },
            },
        ],
    }
