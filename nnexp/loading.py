"""Models from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnexp.blending.files import KIND, blend_of
from nnexp.by_task import make
from nnexp.saving import Reader, as_saving_error, estimator_of, read_file


def load(path: str | Path) -> Any:
    """Read a model that `BackpropMLP.save` or `TabularMLP.save` wrote. Nothing in the file can run code.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    BackpropMLP or TabularMLP
        Of the class that was saved, if it is one of nnexp's. It predicts as the saved one, to the bit.

    Raises
    ------
    SavingError
        If the file is damaged, is none of nnexp's or comes from a later version.
    FileNotFoundError
        If there is no such file.
    """
    header, arrays = read_file(path, "model", KIND)
    with as_saving_error(path):
        reader = Reader(arrays)
        return blend_of(header, reader, make) if header["kind"] == KIND else estimator_of(header, reader, make)
