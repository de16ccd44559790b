# SPDX-License-Identifier: Apache-2.0
"""
The provider's metadata, which Airflow reads at discovery.

It imports nothing, because every Airflow process loads it. The connection forms are declared here once: Airflow 3.2 and
later reads them from here, and the hooks derive from them the forms of older versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The vendors: the name of their modules, and the documentation of their API.
_VENDORS = {
    "Lucca": ("lucca", "https://developers.luccasoftware.com/"),
    "Rocket.Chat": ("rocketchat", "https://developer.rocket.chat/"),
    "Zilliz": ("zilliz", "https://docs.zilliz.com/"),
    "Leadsy": ("leadsy", "https://docs.staging.leadsygroup.com/"),
}
#: The triggers of waits, which are the same for the imports of all vendors.
_TRIGGERS = ["airflow_import_progress.triggers.import_progress", "airflow_import_progress.triggers.start"]
#: The triggers of watchers.
_WATCHER_TRIGGERS = {
    "Rocket.Chat": ["airflow_import_progress.triggers.rocketchat"],
    "Zilliz": ["airflow_import_progress.triggers.zilliz"],
}


def shared_conn_fields(*, limit: str = "no limit", page: str = "Empty: no button.") -> dict[str, dict[str, Any]]:
    """
    Return the fields of the extras that the connections of all vendors have.

    :param limit: The default limit of requests a minute, in words.
    :param page: Example and default of the vendor's page of an import, as sentences.
    """
    return {
        "import_page": {
            "label": "Page of an import",
            "description": f"Address of the button on a waiting task. {page}",
            "schema": {"type": ["string", "null"]},
        },
        "requests_per_minute": {
            "label": "Requests a minute",
            "description": f"Highest rate of all waits of one triggerer together, from 0.1. Empty: {limit}.",
            "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": 100_000},
        },
        "timeout": {
            "label": "Request timeout",
            "description": "Maximum duration of one request in seconds, from 0.1 to 300. Empty: 30.",
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


def connection_type(
    conn_type: str,
    *,
    hook: str,
    name: str,
    labels: Mapping[str, str],
    placeholders: Mapping[str, str],
    fields: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """
    Return a connection type with its form. The form shows the login only if it has a label.

    :param conn_type: The connection type.
    :param hook: The path of the hook's class.
    :param name: The vendor's name.
    :param labels: Labels of the login and of the password.
    :param placeholders: Placeholders of the standard fields; those of port and schema have a default.
    :param fields: The fields of the extras.
    """
    return {
        "connection-type": conn_type,
        "hook-class-name": hook,
        "hook-name": name,
        "ui-field-behaviour": {
            "hidden-fields": ["extra"] if "login" in labels else ["login", "extra"],
            "relabeling": {"host": "Host", **labels, "port": "Port", "schema": "Scheme"},
            "placeholders": {
                "port": "443; the Test button of Airflow 3.3 needs it",
                "schema": "https",
                **placeholders,
            },
        },
        "conn-fields": fields,
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as ``provider_info.schema.json`` of Airflow describes it."""
    return {
        "package-name": "airflow-provider-import-progress",
        "name": "Import Progress",
        "description": "Hooks and deferrable sensors that wait until a vendor's bulk import is really done.",
        "integrations": [
            {"integration-name": name, "external-doc-url": documentation, "tags": ["service"]}
            for name, (_, documentation) in _VENDORS.items()
        ],
        "hooks": [
            {"integration-name": name, "python-modules": [f"airflow_import_progress.hooks.{module}"]}
            for name, (module, _) in _VENDORS.items()
        ],
        "sensors": [
            {"integration-name": name, "python-modules": [f"airflow_import_progress.sensors.{module}"]}
            for name, (module, _) in _VENDORS.items()
        ],
        "triggers": [
            {"integration-name": name, "python-modules": [*_TRIGGERS, *_WATCHER_TRIGGERS.get(name, [])]}
            for name in _VENDORS
        ],
        "extra-links": ["airflow_import_progress.links.ImportLink"],
        "connection-types": [
            connection_type(
                "lucca",
                hook="airflow_import_progress.hooks.lucca.LuccaHook",
                name="Lucca",
                labels={"password": "API key"},
                placeholders={"host": "acme.ilucca.net", "password": "the key that Lucca gave you"},
                fields=shared_conn_fields(
                    limit="50, Lucca's limit",
                    page="Such as https://acme.ilucca.net/…/{summary_id}. Empty: no button.",
                ),
            ),
            connection_type(
                "rocketchat",
                hook="airflow_import_progress.hooks.rocketchat.RocketChatHook",
                name="Rocket.Chat",
                labels={"login": "User ID or name", "password": "Token or password"},
                placeholders={
                    "host": "chat.example.com",
                    "login": "the ID of the user, such as aobEdbYhXfu5hkeqG",
                    "password": "a personal access token of this user",
                },
                fields={
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
            ),
            connection_type(
                "zilliz",
                hook="airflow_import_progress.hooks.zilliz.ZillizHook",
                name="Zilliz",
                labels={"login": "Milvus user", "password": "API key or password"},
                placeholders={
                    "host": "api.cloud.zilliz.com; empty with a cloud region",
                    "login": "empty for an API key",
                    "password": "the API key, or the password of the Milvus user",
                    "port": "443, of a Milvus usually 19530; the Test button of Airflow 3.3 needs it",
                },
                fields={
                    "cluster_id": {
                        "label": "Cluster ID",
                        "description": "Of imports without their own, such as in01-1234567890abcde. Empty for a "
                        "Milvus.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "cloud_region": {
                        "label": "Cloud region",
                        "description": "For v1 instead of the host, such as gcp-us-west1.",
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
            ),
            connection_type(
                "leadsy",
                hook="airflow_import_progress.hooks.leadsy.LeadsyHook",
                name="Leadsy",
                labels={"password": "Token"},
                placeholders={
                    "host": "the host of Leadsy's API, such as leadsy.example.com",
                    "password": "the token alone, without Bearer",
                },
                fields={
                    "auth_scheme": {
                        "label": "Authentication scheme",
                        "description": "The word before the token; none sends the token alone. Empty: Bearer.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "status_map": {
                        "label": "Status map",
                        "description": "The meaning of Leadsy's statuses, as a JSON object of names or integers to "
                        'states, such as {"partially_completed": "succeeded"}. Empty: the usual meanings.',
                        "schema": {"type": ["string", "object", "null"], "format": "multiline"},
                    },
                    **shared_conn_fields(
                        page="Such as https://leadsy.example.com/…/{import_code}. Empty: no button.",
                    ),
                },
            ),
        ],
    }
