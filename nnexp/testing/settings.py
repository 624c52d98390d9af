"""What the settings of every part must do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

from nnexp._identity import Unstable, key_of


def check_settings(part: Any) -> None:
    """Its settings are read and set by name; it is copied, compared, pickled and has a key."""
    kind = type(part).__name__
    for name in part.parameter_names() if hasattr(part, "parameter_names") else ():
        assert hasattr(part, name), f"{kind} must store its setting {name!r} under that name, as it was given."
    copied = copy.deepcopy(part)
    assert copied == part, f"{kind}: a copy is not equal to {part!r}."
    try:
        again = pickle.loads(pickle.dumps(part))
    except Exception as error:
        raise AssertionError(f"{kind} cannot be pickled, so that no other process can have it: {error}") from error
    assert again == part, f"{kind}: what was pickled is not equal to {part!r}."
    assert isinstance(getattr(part, "name", None), str) and part.name, (
        f"{kind} needs a name, by which tables and files call it."
    )
    unstable = Unstable()
    assert key_of(part, unstable=unstable) == key_of(copied), (
        f"{kind}: a copy has another key, so that finished work is done again."
    )
    assert not unstable, f"{kind} has no key that is the same in another process: {', '.join(unstable.named)}."
    if hasattr(part, "get_params"):
        params = part.get_params(deep=False)
        copied.set_params(**params)
        assert copied == part, f"{kind}: setting what `get_params` returns changes it."
        part.check()
