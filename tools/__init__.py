# SPDX-License-Identifier: Apache-2.0
"""What demo, tests and benchmarks share, and the checks of a release."""
