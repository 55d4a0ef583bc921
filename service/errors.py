"""The error tree: each class knows its gRPC status code and its reason.

The reason is one word for machines: `google.rpc.ErrorInfo.reason` over gRPC, `error.reason`
on the command line. The message is a sentence for people: what was seen, what is allowed.
"""

from collections.abc import Iterator

DOMAIN = "digitstrip"
QUOTED = 80  # characters of what was seen; gRPC drops an error of over some kilobytes


class DigitstripError(Exception):
    """Anything Digitstrip refuses to do."""

    reason = "INTERNAL"
    code = "INTERNAL"  # the name of a grpc.StatusCode


class InputError(DigitstripError):
    """The caller's input cannot be read; `field` names the offending part of the request."""

    reason = "INVALID_INPUT"
    code = "INVALID_ARGUMENT"

    def __init__(self, message: str, field: str = "image") -> None:
        super().__init__(message)
        self.field = field


class EmptyImage(InputError):
    """There are no bytes, or no pixels."""

    reason = "EMPTY_IMAGE"


class UnknownFormat(InputError):
    """The bytes are not an image of a kind that is read here."""

    reason = "UNKNOWN_FORMAT"


class DamagedImage(InputError):
    """The bytes begin like an image but cannot be decoded to their end."""

    reason = "DAMAGED_IMAGE"


class UnsupportedPixels(InputError):
    """The pixels are of a depth or kind that is not read here."""

    reason = "UNSUPPORTED_PIXELS"


class TooManyBytes(InputError):
    """The encoded image is larger than allowed."""

    reason = "TOO_MANY_BYTES"


class TooManyPixels(InputError):
    """The image has more pixels than allowed."""

    reason = "TOO_MANY_PIXELS"
    pixels = 0  # that it has, where they are known
    side = 0  # the longer one


class TooManyPages(InputError):
    """The image has more pages than allowed."""

    reason = "TOO_MANY_PAGES"


class RasterMismatch(InputError):
    """A raw raster's length is not its width times its height."""

    reason = "RASTER_MISMATCH"


class NoSuchPage(InputError):
    """The image has no page of that number."""

    reason = "NO_SUCH_PAGE"


class BadConstraint(InputError):
    """What a reading must satisfy is malformed, or needs more states than allowed."""

    reason = "BAD_CONSTRAINT"

    def __init__(self, message: str, field: str = "constraint") -> None:
        super().__init__(message, field)


class BadOption(InputError):
    """What is asked of a reading, besides a constraint, is out of range."""

    reason = "BAD_OPTION"


class UnreadableSource(InputError):
    """A file or stream cannot be read at all."""

    reason = "UNREADABLE_SOURCE"


class ModelError(DigitstripError):
    """The model file is missing, damaged, or not Digitstrip's."""

    reason = "BAD_MODEL"
    code = "FAILED_PRECONDITION"


class SettingsError(DigitstripError):
    """A setting has a value that is not allowed, or cannot be honored."""

    reason = "BAD_SETTING"
    code = "FAILED_PRECONDITION"


class MissingExtra(SettingsError):
    """What is asked for needs a library that is not installed."""

    reason = "MISSING_EXTRA"


class ModelChanged(SettingsError):
    """A service reads with another model than the run began with."""

    reason = "MODEL_CHANGED"


class UnwritableOutput(DigitstripError):
    """What was read cannot be written down."""

    reason = "UNWRITABLE_OUTPUT"
    code = "FAILED_PRECONDITION"


class ServerError(DigitstripError):
    """A server did not read, for a reason that is not the input; a client raises it too."""

    reason = "SERVER_FAILED"


class ServerUnavailable(ServerError):
    """A server does not answer, or takes no work."""

    reason = "SERVER_UNAVAILABLE"
    code = "UNAVAILABLE"


class ServerStopping(ServerUnavailable):
    """The server drains; another one, or this one started again, will read."""

    reason = "SERVER_STOPPING"


class Overloaded(ServerError):
    """The queue is full; `retry_after` says, in seconds, when it is worth asking again."""

    reason = "OVERLOADED"
    code = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineTooShort(ServerError):
    """The caller's deadline cannot be met, so the image was not worked on."""

    reason = "DEADLINE_TOO_SHORT"
    code = "DEADLINE_EXCEEDED"


class TimedOut(ServerError):
    """The caller's time was over before the answer came."""

    reason = "TIMED_OUT"
    code = "DEADLINE_EXCEEDED"


class ReadingTooLong(ServerError):
    """Reading one image took longer than the server allows, and was ended."""

    reason = "READING_TOO_LONG"
    code = "DEADLINE_EXCEEDED"


class ReaderDied(ServerError):
    """The process that read the image died, and so did the next one that tried."""

    reason = "READER_DIED"


class Unauthenticated(ServerError):
    """The call carries no token that the server knows."""

    reason = "UNAUTHENTICATED"
    code = "UNAUTHENTICATED"


def quoted(seen: str) -> str:
    """Return what was seen as a message quotes it: in quotes, and only its begin if it is long."""
    return repr(seen) if len(seen) <= QUOTED else f"{seen[:QUOTED]!r}…"


def of_reason(reason: str, message: str, field: str) -> DigitstripError:
    """Return the error that another process of ours raised."""
    kind = _BY_REASON.get(reason, DigitstripError)
    return kind(message, field) if issubclass(kind, InputError) else kind(message)


def _tree(kind: type[DigitstripError]) -> Iterator[type[DigitstripError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


_BY_REASON = {kind.reason: kind for kind in _tree(DigitstripError)}
