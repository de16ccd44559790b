# SPDX-License-Identifier: Apache-2.0
"""Tools for development. They import nothing but the standard library."""
