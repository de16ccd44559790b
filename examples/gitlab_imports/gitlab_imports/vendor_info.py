# SPDX-License-Identifier: Apache-2.0
"""The vendor, for the watch command and the sandbox."""

from __future__ import annotations

from airflow_import_progress.vendor import MAX_FAILED_RECORDS, Argument, Kind, VendorInfo

VENDOR_INFO = VendorInfo(
    kinds=(
        Kind(
            name="gitlab",
            description="an import of a project into GitLab",
            sensor="gitlab_imports.sensors:GitLabProjectImportSensor",
            identifier=Argument(name="project_id", help="the id of the project, or its full path"),
            options=(MAX_FAILED_RECORDS,),
        ),
    ),
    sandbox="gitlab_imports.sandbox:GitLab",
)
