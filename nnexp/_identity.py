"""What tells one fit from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def content(value: Any) -> Any:
    """Return what a parameter says, as text that is the same in another process: arrays and functions by content."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, Mapping):
        return [(content(key), content(own)) for key, own in value.items()]
    if isinstance(value, list | tuple):
        return [content(own) for own in value]
    if hasattr(value, "__code__"):
        return value.__module__, value.__qualname__, value.__code__.co_code, repr(value.__code__.co_consts)
    if hasattr(value, "get_params") and not isinstance(value, type):
        return type(value).__qualname__, content(value.get_params())
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__qualname__, [content(getattr(value, field.name)) for field in fields(value)]
    return repr(value)
