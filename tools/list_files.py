# SPDX-License-Identifier: Apache-2.0
"""`list_files.py SUFFIX ...`: the repository's own files of these kinds, each ended by NUL."""

import sys

from repo_files import repo_files

for path in repo_files(*sys.argv[1:]):
    print(path.as_posix(), end="\0")
