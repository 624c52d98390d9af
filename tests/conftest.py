import os
import signal
import sys

from tests import WITHOUT_FIGURES, searched

# scikit-learn's check of array API input runs only under this switch, which SciPy reads on import.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest

from tests.postgresql import Server, programs


def pytest_configure():
    """Heed signals that are ignored in the background of a script, or under nohup, and then by all that tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def without_figures(request, monkeypatch):
    """Reports are drawn, which takes most of their time, only where tests are about them."""
    page = sys.modules.get("nnexp.report.page")
    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setenv("PYTHONPATH", searched(WITHOUT_FIGURES))
        if page is not None:
            monkeypatch.setattr(page, "figures_of", lambda results, comparison: {})


@pytest.fixture(scope="session")
def postgresql():
    """A private server; in CI it must be there."""
    if programs() is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed; .ci/run installs it.")
        pytest.skip("needs PostgreSQL (Debian's package postgresql)")
    server = Server()
    yield server
    server.close()
