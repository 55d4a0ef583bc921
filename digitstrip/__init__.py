"""Digitstrip: read strings of handwritten digits without cutting them into characters.

In this process:

>>> import digitstrip
>>> recognizer = digitstrip.load_model()
>>> recognizer.read("examples/strips/postcode-ruled.png").text
'68767'

Through a server that `digitstrip serve` started:

>>> with digitstrip.Client("127.0.0.1:50051") as client:
...     client.recognize("examples/strips/postcode-ruled.png").text
'68767'

Importing this package loads the errors alone; the rest is loaded with the first name that needs it.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from service.errors import (
    BadConstraint,
    BadForm,
    BadOption,
    DamagedImage,
    DeadlineTooShort,
    DigitstripError,
    EmptyImage,
    InputError,
    MalformedMessage,
    ModelError,
    NoSuchForm,
    NoSuchPage,
    Overloaded,
    RasterMismatch,
    ReadingTooLong,
    ServerError,
    ServerStopping,
    ServerUnavailable,
    SettingsError,
    TimedOut,
    TooManyBytes,
    TooManyPages,
    TooManyPixels,
    Unauthenticated,
    UnknownFormat,
    UnreadableSource,
    UnsupportedPixels,
    WorkerDied,
)

if TYPE_CHECKING:
    from digitstrip.recognizer import Reading, Recognizer, load_model
    from service.client import AsyncClient, Backoff, Client, Tls

__all__ = [
    "AsyncClient",
    "Backoff",
    "BadConstraint",
    "BadForm",
    "BadOption",
    "Client",
    "DamagedImage",
    "DeadlineTooShort",
    "DigitstripError",
    "EmptyImage",
    "InputError",
    "MalformedMessage",
    "ModelError",
    "NoSuchForm",
    "NoSuchPage",
    "Overloaded",
    "RasterMismatch",
    "Reading",
    "ReadingTooLong",
    "Recognizer",
    "ServerError",
    "ServerStopping",
    "ServerUnavailable",
    "SettingsError",
    "TimedOut",
    "Tls",
    "TooManyBytes",
    "TooManyPages",
    "TooManyPixels",
    "Unauthenticated",
    "UnknownFormat",
    "UnreadableSource",
    "UnsupportedPixels",
    "WorkerDied",
    "load_model",
]

_LAZY = {
    **dict.fromkeys(("Reading", "Recognizer", "load_model"), "digitstrip.recognizer"),
    **dict.fromkeys(("AsyncClient", "Backoff", "Client", "Tls"), "service.client"),
}


def __getattr__(name: str) -> object:
    """Import what is used, when it is used (PEP 562)."""
    if name == "__version__":
        return version("digitstrip")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
