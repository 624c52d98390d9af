import uuid

import pytest

from nnexp.sweep.sweep import open_store


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
