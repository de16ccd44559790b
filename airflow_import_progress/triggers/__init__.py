# SPDX-License-Identifier: Apache-2.0
"""Waiting without a worker, and the rules of waiting that every mode shares."""
