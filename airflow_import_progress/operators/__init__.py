# SPDX-License-Identifier: Apache-2.0
"""The operators: start an import once, and wait for it."""
