# SPDX-License-Identifier: Apache-2.0
"""Imports of projects into GitLab."""
