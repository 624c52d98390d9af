import pytest

from nnexp.sweep.sweep import open_store
from tests.sweep.cases import place_of


@pytest.fixture(params=["folder", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """Where a study is kept: a folder, or a database of its own."""
    return place_of(request, tmp_path)


@pytest.fixture
def store(place):
    store = open_store(place)
    yield store
    store.close()
