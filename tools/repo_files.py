# SPDX-License-Identifier: Apache-2.0
"""The repository's own files, for the check scripts."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED_FOLDERS = {"build", "__pycache__"}


def listed_by_git():
    """Tracked files and new ones that are not ignored, or None outside a git checkout."""
    command = ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    if done.returncode != 0 or not (ROOT / ".git").exists():
        return None
    return [name for name in done.stdout.decode().split("\0") if name]


def listed_by_walking():
    names = []
    for folder, folders, files in os.walk(ROOT):
        # No build folders, no environments.
        folders[:] = [
            name
            for name in folders
            if name not in SKIPPED_FOLDERS and (name == ".ci" or not name.startswith("."))
        ]
        names += [str((Path(folder) / name).relative_to(ROOT)) for name in files]
    return names


def repo_files(*suffixes):
    """Sorted paths relative to the root; with suffixes, only the names that end in one of them."""
    names = listed_by_git()
    if names is None:
        names = listed_by_walking()
    wanted = [name for name in sorted(set(names)) if not suffixes or name.endswith(suffixes)]
    return [Path(name) for name in wanted if (ROOT / name).is_file()]


def report(problems, summary):
    """Prints them, or the summary; returns the exit status."""
    for problem in problems:
        print(problem)
    if not problems:
        print(summary)
    return 1 if problems else 0
