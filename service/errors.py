"""The error tree: each class knows its gRPC status code and its reason.

The reason is one word for machines: `google.rpc.ErrorInfo.reason` over gRPC, `error.reason`
on the command line. The message is a sentence for people: what was seen, what is allowed.
"""

from collections.abc import Iterator

DOMAIN = "digitstrip"
QUOTED = 80  # characters quoted from the input; gRPC drops a status of over some kilobytes


class DigitstripError(Exception):
    """Base of all errors that Digitstrip raises."""

    reason = "INTERNAL"
    code = "INTERNAL"  # the name of a grpc.StatusCode


class InputError(DigitstripError):
    """Input that cannot be read; `field` names the offending part of the request."""

    reason = "INVALID_INPUT"
    code = "INVALID_ARGUMENT"

    def __init__(self, message: str, field: str = "image") -> None:
        super().__init__(message)
        self.field = field


class EmptyImage(InputError):
    """An image without bytes or without pixels."""

    reason = "EMPTY_IMAGE"


class UnknownFormat(InputError):
    """Bytes that are not an image in a supported format."""

    reason = "UNKNOWN_FORMAT"


class DamagedImage(InputError):
    """Bytes that begin like an image but cannot be decoded to the end."""

    reason = "DAMAGED_IMAGE"


class UnsupportedPixels(InputError):
    """Pixels of an unsupported depth or type."""

    reason = "UNSUPPORTED_PIXELS"


class TooManyBytes(InputError):
    """An encoded image larger than the limit."""

    reason = "TOO_MANY_BYTES"


class TooManyPixels(InputError):
    """An image with more pixels than the limit."""

    reason = "TOO_MANY_PIXELS"
    pixels = 0  # of the image, if known
    side = 0  # the longer side, pixels


class TooManyPages(InputError):
    """An image with more pages than the limit."""

    reason = "TOO_MANY_PAGES"


class RasterMismatch(InputError):
    """A raw raster whose length is not its width times its height."""

    reason = "RASTER_MISMATCH"


class NoSuchPage(InputError):
    """A page number that the image does not have."""

    reason = "NO_SUCH_PAGE"


class MalformedMessage(InputError):
    """Bytes that are not a message of the schema."""

    reason = "MALFORMED_MESSAGE"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message, field)


class BadConstraint(InputError):
    """A constraint that is malformed or needs more states than the limit."""

    reason = "BAD_CONSTRAINT"

    def __init__(self, message: str, field: str = "constraint") -> None:
        super().__init__(message, field)


class BadOption(InputError):
    """A recognition option, other than a constraint, that is out of range."""

    reason = "BAD_OPTION"


class BadForm(InputError):
    """A form's template with a mistake, or one whose reference cannot be used."""

    reason = "BAD_FORM"

    def __init__(self, message: str, field: str = "form") -> None:
        super().__init__(message, field)


class NoSuchForm(InputError):
    """A name that no form of the server has."""

    reason = "NO_SUCH_FORM"
    code = "NOT_FOUND"

    def __init__(self, message: str, field: str = "form_name") -> None:
        super().__init__(message, field)


class UnreadableSource(InputError):
    """A file or stream that cannot be read at all."""

    reason = "UNREADABLE_SOURCE"


class ModelError(DigitstripError):
    """A model file that is missing, damaged, or not Digitstrip's."""

    reason = "BAD_MODEL"
    code = "FAILED_PRECONDITION"


class SettingsError(DigitstripError):
    """A setting whose value is not allowed or cannot be honored."""

    reason = "BAD_SETTING"
    code = "FAILED_PRECONDITION"


class MissingExtra(SettingsError):
    """A feature whose library is not installed."""

    reason = "MISSING_EXTRA"


class ModelChanged(SettingsError):
    """A service whose model differs from the one that the run started with."""

    reason = "MODEL_CHANGED"


class UnwritableOutput(DigitstripError):
    """An output that cannot be written."""

    reason = "UNWRITABLE_OUTPUT"
    code = "FAILED_PRECONDITION"


class ServerError(DigitstripError):
    """A server-side failure that the input did not cause; clients raise it too."""

    reason = "SERVER_FAILED"


class ServerUnavailable(ServerError):
    """A server that does not answer or accepts no work."""

    reason = "SERVER_UNAVAILABLE"
    code = "UNAVAILABLE"


class ServerStopping(ServerUnavailable):
    """A server that is draining; retry on another, or after a restart."""

    reason = "SERVER_STOPPING"


class Overloaded(ServerError):
    """A full queue; retry after `retry_after` seconds."""

    reason = "OVERLOADED"
    code = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineTooShort(ServerError):
    """A deadline that cannot be met; the image was not processed."""

    reason = "DEADLINE_TOO_SHORT"
    code = "DEADLINE_EXCEEDED"


class TimedOut(ServerError):
    """A deadline that passed before the answer came."""

    reason = "TIMED_OUT"
    code = "DEADLINE_EXCEEDED"


class ReadingTooLong(ServerError):
    """An image that took longer than the server's limit and was cancelled."""

    reason = "READING_TOO_LONG"
    code = "DEADLINE_EXCEEDED"


class WorkerDied(ServerError):
    """An image that crashed its worker, and the worker of the retry."""

    reason = "READER_DIED"


class Unauthenticated(ServerError):
    """A call without a valid token."""

    reason = "UNAUTHENTICATED"
    code = "UNAUTHENTICATED"


class HttpError(DigitstripError):
    """An HTTP request that is refused before its content is looked into."""

    reason = "BAD_HTTP_REQUEST"
    code = "INVALID_ARGUMENT"


class NoSuchPath(HttpError):
    """A path that the server does not have."""

    reason = "NO_SUCH_PATH"
    code = "NOT_FOUND"


class MethodNotAllowed(HttpError):
    """A method that the path does not have."""

    reason = "METHOD_NOT_ALLOWED"
    code = "UNIMPLEMENTED"


class WrongHost(HttpError):
    """A Host header that does not name the server."""

    reason = "WRONG_HOST"
    code = "PERMISSION_DENIED"


class WrongOrigin(HttpError):
    """A request of a web page from elsewhere that is not listed."""

    reason = "WRONG_ORIGIN"
    code = "PERMISSION_DENIED"


class UnsupportedMediaType(HttpError):
    """A body of a type or an encoding that the path does not take."""

    reason = "UNSUPPORTED_MEDIA_TYPE"


class BodyTooSlow(HttpError):
    """A body that did not arrive in time."""

    reason = "BODY_TOO_SLOW"
    code = "DEADLINE_EXCEEDED"


def quoted(seen: str) -> str:
    """Return the input as a message quotes it, truncated to `QUOTED` characters."""
    return repr(seen) if len(seen) <= QUOTED else f"{seen[:QUOTED]!r}…"


def is_unicode(seen: str) -> bool:
    """Return whether a string is text: one from JSON may have half of a surrogate pair."""
    try:
        seen.encode()
    except UnicodeEncodeError:
        return False
    return True


def of_reason(reason: str, message: str, field: str = "") -> DigitstripError:
    """Rebuild an error that another process raised, from its reason.

    Args:
        reason: the constant of the error's class.
        message: a sentence.
        field: the invalid field; empty leaves what the class names by default.
    """
    kind = _BY_REASON.get(reason, DigitstripError)
    return kind(message, field) if field and issubclass(kind, InputError) else kind(message)


def _tree(kind: type[DigitstripError]) -> Iterator[type[DigitstripError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


_BY_REASON = {kind.reason: kind for kind in _tree(DigitstripError)}
