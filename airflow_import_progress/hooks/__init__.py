# SPDX-License-Identifier: Apache-2.0
"""Hooks: authentication and one vendor's import API each."""
