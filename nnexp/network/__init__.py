"""What a network computes, and its derivative."""

from nnexp.network.activations import ACTIVATIONS, Activation
from nnexp.network.error_functions import ERROR_FUNCTIONS, ErrorFunction
from nnexp.network.initializers import INITIALIZERS, Initializer
from nnexp.network.network import Network

__all__ = [
    "ACTIVATIONS",
    "ERROR_FUNCTIONS",
    "INITIALIZERS",
    "Activation",
    "ErrorFunction",
    "Initializer",
    "Network",
]
