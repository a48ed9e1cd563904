# SPDX-License-Identifier: Apache-2.0
"""fovea inside other libraries."""
