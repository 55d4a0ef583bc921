"""The Python client, blocking and async. Loads neither OpenCV, Pillow nor numpy.

What is not used is not imported: a health check needs a channel, not a client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.client.channel import Route, Tls, Token
    from service.client.client import AsyncClient, Client
    from service.client.retry import Backoff

__all__ = ["AsyncClient", "Backoff", "Client", "Route", "Tls", "Token"]

_MODULES = {
    **dict.fromkeys(("Route", "Tls", "Token"), "channel"),
    **dict.fromkeys(("AsyncClient", "Client"), "client"),
    "Backoff": "retry",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
