# SPDX-License-Identifier: Apache-2.0
"""The rules by which an import is started at most once, and the record that they are based on."""
