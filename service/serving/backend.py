"""What every front end of a server calls: the pool of workers, observed and bounded."""

import asyncio
import time
from typing import Protocol

from service.api.wire import form_request_pixels, request_form, request_pixels, with_form
from service.errors import DigitstripError, MalformedMessage, NoSuchForm, Overloaded
from service.held_bytes import HeldBytes
from service.serving.forms import ServedForms
from service.serving.observability.call import Call
from service.serving.observability.observer import Observer
from service.tokens import Tokens
from service.workers.admission_queue import Answer
from service.workers.framing import Work
from service.workers.pool import WorkerPool

DEADLINE_SLACK_S = 0.1  # clock difference tolerated between a deadline and its cancellation


class Backend:
    """One server's means, whatever its front ends speak.

    Args:
        pool: recognizes.
        observer: notified of every call and image.
        held: counts the bytes of messages.
        tokens: of which a call must carry one; None, calls need none.
        health_open: whether health checks need no token.
        forms: that calls may name.
    """

    def __init__(
        self,
        pool: WorkerPool,
        observer: Observer,
        held: HeldBytes,
        tokens: Tokens | None,
        health_open: bool,
        forms: ServedForms,
    ) -> None:
        self.pool = pool
        self.observer = observer
        self.held = held
        self.tokens = tokens
        self.health_open = health_open
        self.forms = forms
        self.ready = False  # as health reports
        self.draining = asyncio.Event()

    @property
    def overload(self) -> Overloaded | None:
        """Why a call is refused before its message is received; None while there is room.

        The cost of a refusal is taken from recognition. So while the queue has no room for an image
        of the usual cost, or too many bytes are held, a call is refused without its message being
        received, parsed or measured.
        """
        queue = self.pool.regular.queue
        if queue.full:
            return queue.overloaded()
        return self.held.overloaded() if self.held.full else None

    async def recognize(
        self,
        call: Call,
        request: bytes,
        seconds_left: float | None,
        patient: bool = False,
        work: Work = Work.RECOGNIZE,
    ) -> Answer | DigitstripError:
        """Recognize one image of a call; return the answer, or the error as a value.

        An error that is raised holds the frames that it passed through, and with them the request.

        Args:
            call: that the image came with.
            request: a serialized RecognizeRequest, or RecognizeFormRequest.
            seconds_left: until the caller's deadline, at which this is cancelled.
            patient: wait for room in the queue instead of being refused.
            work: RECOGNIZE or RECOGNIZE_FORM.
        """
        began = time.time()
        size = len(request)
        answer: Answer | DigitstripError
        try:
            if work is Work.RECOGNIZE_FORM:
                request, pixels = self._form_request(request)
            else:
                pixels = request_pixels(request)
            answer = await self.pool.recognize(request, pixels, seconds_left, patient, work)
        except (MalformedMessage, NoSuchForm) as error:
            answer = error.with_traceback(None)
        except asyncio.CancelledError:
            expired = (
                seconds_left is not None and time.time() - began > seconds_left - DEADLINE_SLACK_S
            )
            self.observer.given_up(call, size, began, expired)
            raise
        if isinstance(answer, DigitstripError):
            self.observer.failed(call, size, began, answer)
        else:
            self.observer.recognized(call, size, began, answer)
        return answer

    def _form_request(self, request: bytes) -> tuple[bytes, int]:
        """Return a RecognizeFormRequest with the form that it names, and its pixels.

        Raises:
            MalformedMessage: the bytes are not such a message.
            NoSuchForm: there is no form of that name.
        """
        name, _ = request_form(request)
        pixels = form_request_pixels(request)
        return (request if name is None else with_form(request, self.forms.named(name))), pixels


class FrontEnd(Protocol):
    """A further way to call a server, in its process and its event loop."""

    async def start(self) -> int:
        """Listen, and return the port."""

    async def stop(self, seconds: float) -> None:
        """Refuse new work, and finish calls in progress within some seconds."""
