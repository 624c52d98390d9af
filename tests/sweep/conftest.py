import os
import uuid

import pytest

from nnexp.sweep.sweep import open_store
from tests.postgresql import Server, programs


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


@pytest.fixture(params=["folder", "postgresql"])
def place(request, tmp_path):
    """Where a study is kept: a folder, or a database of its own."""
    if request.param == "folder":
        return str(tmp_path / "store")
    server = request.getfixturevalue("postgresql")
    return server.database(f"test_{uuid.uuid4().hex}")


@pytest.fixture
def store(place):
    store = open_store(place)
    yield store
    store.close()
