"""The images of a stream that are in flight: what to send, to resend, and to answer."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.api.status import from_stream_error
from service.client.retry import Tries
from service.errors import DigitstripError
from service.pb import recognizer_pb2 as pb

Answer = tuple[str, pb.RecognizeResponse | DigitstripError]
FormAnswer = tuple[str, pb.RecognizeFormResponse | DigitstripError]
Request = TypeVar("Request")  # of one image
Response = TypeVar("Response")  # to it
# The message in which a stream has a request, by the schema; all have the same fields.
StreamMessage = pb.RecognizeStreamRequest | pb.RecognizeFormStreamRequest


@dataclass
class Item:
    """One image on its way.

    Args:
        name: the caller's; it need not be unique.
        message: what is sent, under the client's own id.
        tries: of the image alone, since it was first refused.
        due: the time from which on it may be sent.
    """

    name: str
    message: StreamMessage
    tries: Tries | None = None
    due: float = 0.0


class Outstanding(Generic[Request, Response]):
    """The images that were taken in and whose answer the caller does not have yet.

    Args:
        most: how many there may be.
        new_tries: starts counting the tries of an image that a server refused.
        message: the type of a stream's requests, made of an id and a request.
    """

    def __init__(
        self,
        most: int,
        new_tries: Callable[[], Tries],
        message: Callable[..., StreamMessage],
    ) -> None:
        self.most = most
        self.new_tries = new_tries
        self.message = message
        self.exhausted = False  # the caller has no more images
        self.call = 0  # the number of the call that sends
        self._taken = 0  # in all
        self._answered = 0  # of those, how many the caller has the answer of
        self._unsent: deque[Item] = deque()
        self._sent: dict[str, Item] = {}

    @property
    def room(self) -> bool:
        """Whether another image may be taken in."""
        return self._taken - self._answered < self.most

    @property
    def finished(self) -> bool:
        """Whether no answer is to come any more."""
        return self.exhausted and not self._unsent and not self._sent

    @property
    def idle(self) -> bool:
        """Whether a call would have nothing to do yet."""
        return not self._unsent and not self.exhausted

    def take_in(self, name: str, request: Request) -> None:
        """Add an image of the caller's."""
        self._taken += 1
        self._unsent.append(Item(name, self.message(id=str(self._taken), request=request)))

    def over(self, call: int) -> bool:
        """Whether a call has nothing to send any more."""
        return call != self.call or self.finished

    def next(self, call: int) -> StreamMessage | None:
        """Return what a call is to send now, if there is anything."""
        if call != self.call:
            return None
        now = time.monotonic()
        for _ in range(len(self._unsent)):
            item = self._unsent.popleft()
            if item.due <= now:
                self._sent[item.message.id] = item
                return item.message
            self._unsent.append(item)
        return None

    @property
    def wait(self) -> float | None:
        """Seconds until there is something to send; None if that is not a matter of time."""
        if not self._unsent:
            return None
        return max(0.0, min(item.due for item in self._unsent) - time.monotonic())

    def answered(self, answer: Any) -> tuple[str, Response | DigitstripError] | None:  # noqa: ANN401 - grpc ships no types
        """Return the outcome for the caller; None if the image is to be sent again.

        Args:
            answer: a stream's response.
        """
        item = self._sent.pop(answer.id, None)
        if item is None:  # a server that answers twice; the caller has the first answer
            return None
        if answer.HasField("response"):
            return item.name, answer.response
        error = from_stream_error(answer.error)
        item.tries = item.tries or self.new_tries()
        pause = item.tries.pause(error)
        if pause is None:
            return item.name, error
        item.due = time.monotonic() + pause
        self._unsent.append(item)
        return None

    def taken(self) -> None:
        """Note that the caller has taken an answer."""
        self._answered += 1

    def lost(self) -> None:
        """Note that the call ended: what it left without an answer is sent again, and first."""
        self.call += 1
        self._unsent.extendleft(reversed(self._sent.values()))
        self._sent.clear()
