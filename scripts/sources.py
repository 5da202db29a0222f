"""A copy of the sources, to be broken: what `make mutants` and `make proof-mutants` plant their changes in."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def copy_sources(tree):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        source = REPOSITORY / name
        if source.is_file():
            write(tree / name, source.read_bytes())


def write(path, content):
    """Leaves alone what is the same, so that only what depends on a change is built again."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
