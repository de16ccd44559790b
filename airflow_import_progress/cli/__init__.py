# SPDX-License-Identifier: Apache-2.0
"""The command line: look at an import from a terminal."""
