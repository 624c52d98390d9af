import os
from pathlib import Path

# Processes that tests start draw no figures; see there.
WITHOUT_FIGURES = str(Path(__file__).parent / "without_figures")


def searched(*folders):
    """Return the PYTHONPATH of a process that is to find modules in some folders, besides where all of the tests' look."""
    return os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])


def runs_in(journal):
    """Return the lines of a journal that are finished runs; another one says what was asked."""
    if not journal.exists():
        return []
    return [
        line for line in journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n") and b'"row"' in line
    ]
