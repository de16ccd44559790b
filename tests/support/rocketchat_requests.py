# SPDX-License-Identifier: Apache-2.0
"""
The bodies that Rocket.Chat's hook sends to start imports.

The vendor's validators and Airflow are installed in different environments. So each is held beside these bodies.
"""

from __future__ import annotations

from typing import Any

USER = {"importIds": ["hr-1"], "emails": ["jdoe@x.example"], "username": "jdoe", "name": "John Doe", "roles": ["user"]}
SELECTED = {"users": "all", "channels": ["general"], "contacts": []}

#: The endpoint and the body of each request that has one.
START_REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "upload": (
        "uploadImportFile",
        {"binaryContent": "YTtiCg==", "contentType": "text/csv", "fileName": "1-a.csv", "importerKey": "csv"},
    ),
    "download": ("downloadPublicImportFile", {"fileUrl": "https://files.example/a.zip", "importerKey": "slack"}),
    "selection": (
        "startImport",
        {
            "input": {
                "users": {"all": True, "list": []},
                "channels": {"all": False, "list": ["general"]},
                "contacts": {"all": False, "list": []},
            }
        },
    ),
    "users": ("import.addUsers", {"users": [USER]}),
    "pending files": ("downloadPendingFiles", {}),
    "pending avatars": ("downloadPendingAvatars", {}),
}
