# SPDX-License-Identifier: Apache-2.0
"""The command line: watch an import from a terminal."""
