import os
from pathlib import Path

# Processes that tests start draw no figures; see there.
WITHOUT_FIGURES = str(Path(__file__).parent / "without_figures")


def searched(*folders):
    """Return the PYTHONPATH of a process that is to find modules in some folders, besides where all of the tests' look."""
    return os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])
