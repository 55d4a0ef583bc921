"""Work of a worker process, whichever engine runs it: items to rows, copies and pictures.

The bytes of the next items are read while one is recognized, within a bound of their sum.
"""

import hashlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from service.api.images import to_image
from service.batch.outputs.form_rows import read_form_page
from service.batch.outputs.pictures import Picture, draw
from service.batch.outputs.rows import failed_page, read_page
from service.batch.pages import ItemResult, PageResult
from service.batch.plan import Place, Plan, Services
from service.durable_files import writing
from service.errors import (
    BadConstraint,
    DigitstripError,
    InputError,
    MissingExtra,
    ModelChanged,
    NoSuchPage,
    ReadingTooLong,
    WorkerDied,
)
from service.imaging.decode import decode
from service.imaging.limits import Limits
from service.inputs.documents import (
    MAX_PDF_BYTES,
    Content,
    Document,
    is_pdf,
    max_bytes_of,
    no_such_page,
)
from service.inputs.items import Item, too_many_bytes
from service.inputs.open_files import REMOTE
from service.pb import recognizer_pb2 as pb

if TYPE_CHECKING:
    from service.forms.service import FormService

PAGES = 16  # of a document, read in one go
AHEAD = 2  # items whose bytes are read ahead
AHEAD_REMOTE = 8  # the same, where each takes a round trip
BYTES_IN_HAND = 128 * 2**20  # of all items that a worker holds; one larger than that is held alone


class PageReader(Protocol):
    """Something that reads a page."""

    def read(
        self, content: Content, page: int, request: pb.RecognizeRequest
    ) -> pb.RecognizeResponse:
        """Read a page.

        Args:
            content: the encoded document or image.
            page: its number, from 0.
            request: options; without an image.

        Raises:
            DigitstripError: it cannot be read.
        """

    def read_form(
        self, content: Content, page: int, request: pb.RecognizeFormRequest
    ) -> pb.RecognizeFormResponse:
        """Read a page as a form; the request has no image.

        Raises:
            DigitstripError: it cannot be read.
        """


class InProcessReader:
    """Reads pages in this process.

    Args:
        plan: names the model.
    """

    def __init__(self, plan: Plan) -> None:
        from service.api.service import RecognitionService
        from service.recognition.model import ModelFiles
        from service.workers.worker_config import WorkerConfig
        from service.workers.worker_main import prepare

        files = ModelFiles.read(plan.model, plan.second_reader)
        recognizer = prepare(WorkerConfig(limits=plan.limits), files)
        self.service = RecognitionService(recognizer, plan.limits)
        self.forms: FormService | None = None
        if plan.form:  # what they need is not loaded for strips
            from service.forms import service as of_forms

            forms = of_forms.Forms(plan.limits)
            self.forms = of_forms.FormService(self.service, forms)
            self.built = [
                forms.get(pb.Form.FromString(each)) for each in (plan.form, *plan.other_forms)
            ]

    def read(
        self, content: Content, page: int, request: pb.RecognizeRequest
    ) -> pb.RecognizeResponse:
        """Return the response for a page."""
        whole = pb.RecognizeRequest(image=to_image(content, page))
        whole.MergeFrom(request)
        return self.service.recognize(whole).response

    def read_form(
        self, content: Content, page: int, request: pb.RecognizeFormRequest
    ) -> pb.RecognizeFormResponse:
        """Return the response for a page of a form."""
        whole = pb.RecognizeFormRequest(image=to_image(content, page))
        whole.MergeFrom(request)
        assert self.forms is not None
        return self.forms.recognize_one_of(whole, self.built).response


class ServiceReader:
    """Has running services read pages.

    Args:
        plan: has the timeout, and the model that the run began with.
        services: that read.
    """

    def __init__(self, plan: Plan, services: Services) -> None:
        self.client = services.client(plan.seconds)
        self.digests = (plan.digest, plan.second_digest)

    def read(
        self, content: Content, page: int, request: pb.RecognizeRequest
    ) -> pb.RecognizeResponse:
        """Return the response for a page."""
        response = self.client.recognize(
            content,
            page,
            scores=request.include_scores,
            constraint=request.constraint,
            alternatives=request.alternatives,
            accepted_error_rate=request.accepted_error_rate
            if request.HasField("accepted_error_rate")
            else None,
        )
        self._check_digests(response)
        return response

    def read_form(
        self, content: Content, page: int, request: pb.RecognizeFormRequest
    ) -> pb.RecognizeFormResponse:
        """Return the response for a page of a form."""
        response = self.client.recognize_form(
            content,
            request.form,
            page,
            alternatives=request.alternatives,
            accepted_error_rate=request.accepted_error_rate
            if request.HasField("accepted_error_rate")
            else None,
        )
        self._check_digests(response)
        return response

    def _check_digests(self, response: pb.RecognizeResponse | pb.RecognizeFormResponse) -> None:
        """Check that the model is still the one that the run began with.

        Raises:
            ModelChanged: it is another.
        """
        digests = (response.model_digest, response.second_reader_digest)
        if digests != self.digests:
            now, begun = (
                f"{first[:12]} and second reader {second[:12] or 'none'}"
                for first, second in (digests, self.digests)
            )
            raise ModelChanged(f"a service now reads with model {now}; the run began with {begun}")


class Worker:
    """Reads, copies and draws items.

    Args:
        plan: how.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.request: pb.RecognizeRequest = pb.RecognizeRequest.FromString(plan.request)
        self.form_request = form_request(plan) if plan.form else None
        self.reader: PageReader = (
            ServiceReader(plan, plan.services) if plan.services else InProcessReader(plan)
        )
        self._kept: tuple[Item, Loaded] | None = None  # of which more pages are to be read
        self.callers = ThreadPoolExecutor(plan.concurrency, "call")
        # One thread, so that a compressed tar is read forward; what is remote is read side by side.
        self.loader = ThreadPoolExecutor(1, "load")
        self.fetchers = ThreadPoolExecutor(AHEAD_REMOTE, "fetch")

    def read(self, places: Sequence[Place]) -> list[ItemResult]:
        """Read some items; one that cannot be read has a result that says so.

        Raises:
            ServerUnavailable, Unauthenticated, SettingsError: no item could be read.
        """
        return list(self._within_bounds(places))

    def _within_bounds(self, places: Sequence[Place]) -> Iterator[ItemResult]:
        """Yield results in order, with no more items and bytes in hand than allowed."""
        waiting: deque[tuple[int, Callable[[], ItemResult]]] = deque()
        held = 0
        for place in places:
            item, limits = place.item, self.plan.limits
            size = item.bytes_at_most(max_bytes_of(item.source, limits))
            remote = REMOTE in item.path and not item.compressed
            most = self.plan.concurrency - 1 or (AHEAD_REMOTE if remote else AHEAD)
            while waiting and (len(waiting) > most or held + size > BYTES_IN_HAND):
                # The first one's bytes count until its result is there.
                yield waiting[0][1]()
                held -= waiting.popleft()[0]
            loading = (self.fetchers if remote else self.loader).submit(self._load, place)
            waiting.append((size, self._start(place, loading)))
            held += size
        for _, result in waiting:
            yield result()

    def _start(self, place: Place, loading: "Future[Loaded]") -> Callable[[], ItemResult]:
        """Begin with an item as far as can be, and return what waits for its result."""
        if self.plan.concurrency > 1:
            return self.callers.submit(self._result, place, loading).result
        return lambda: self._result(place, loading)

    def _result(self, place: Place, loading: "Future[Loaded]") -> ItemResult:
        """Read an item's pages, or the first of them."""
        _, first, item = place
        sha256: str | None = None
        try:
            loaded = loading.result()
            sha256 = loaded.sha256
            document = Document(loaded.content, self.plan.limits, self.plan.dpi)
        except DigitstripError as error:
            return ItemResult(place, [self._failed(item, item.page or 0, sha256, error)], range(0))
        request = self._request(item)
        if item.page is not None:
            pages = range(item.page, item.page + 1)
        else:
            pages = range(first, min(first + PAGES, document.pages))
        done = [self._page(item, page, sha256, document, request) for page in pages]
        following = range(0) if item.page is not None else range(pages.stop, document.pages)
        self._kept = (item, loaded) if following else None
        return ItemResult(place, done, following)

    def _page(
        self, item: Item, page: int, sha256: str, document: Document, request: pb.RecognizeRequest
    ) -> PageResult:
        try:
            content, index = document.page(page)
            if self.form_request is not None:
                return self._form_page(item, page, sha256, content, index)
            response = self.reader.read(content, index, request)
        except NoSuchPage:
            error = no_such_page(page, document.pages)
            return failed_page(item, page, sha256, error, self.plan)
        except DigitstripError as error:
            return self._failed(item, page, sha256, error)
        except Exception as error:  # a bug that one page triggers must not lose the others
            kind = type(error).__name__
            return self._failed(item, page, sha256, DigitstripError(f"failed with {kind}: {error}"))
        return read_page(item, page, sha256, response, self.plan)

    def _form_page(
        self, item: Item, page: int, sha256: str, content: Content, index: int
    ) -> PageResult:
        assert self.form_request is not None
        if item.constraint:
            raise BadConstraint(
                "the manifest says what the string must satisfy; with --form, that stands in the "
                "template"
            )
        response = self.reader.read_form(content, index, self.form_request)
        return read_form_page(item, page, sha256, response, self.plan)

    def _failed(
        self, item: Item, page: int, sha256: str | None, error: DigitstripError
    ) -> PageResult:
        if not is_of_the_item(error):
            raise error
        return failed_page(item, page, sha256, error, self.plan)

    def _request(self, item: Item) -> pb.RecognizeRequest:
        """Return the request for an item: the fields of its own constraint override the run's."""
        if not item.constraint:
            return self.request
        request, own = pb.RecognizeRequest(), pb.Constraint.FromString(item.constraint)
        request.CopyFrom(self.request)
        for each, _ in own.ListFields():
            request.constraint.ClearField(each.name)
        request.constraint.MergeFrom(own)
        return request

    def _load(self, place: Place) -> "Loaded":
        """Read an item's bytes, unless they are those of the document that was read last."""
        if place.page and self._kept is not None and self._kept[0] == place.item:
            return self._kept[1]
        return load(place.item, self.plan.limits)

    def crop(self, places: Sequence[Place]) -> list[Picture | None]:
        """Return pictures of pages, None of one that cannot be drawn any more."""
        return [self._crop(place) for place in places]

    def _crop(self, place: Place) -> Picture | None:
        try:
            limits = self.plan.limits
            document = Document(self._load(place).content, limits, self.plan.dpi)
            content, number = document.page(place.page)
            if isinstance(content, bytes):
                content = decode(content, number, limits).gray
            return draw(content)
        except DigitstripError:
            return None

    def copy(self, copies: Sequence[tuple[Item, Path]]) -> list[bool]:
        """Copy items to files; return of which there was something to copy.

        Raises:
            UnwritableOutput: a file cannot be written.
        """
        return [copy(item, path) for item, path in copies]


def form_request(plan: Plan) -> pb.RecognizeFormRequest:
    """Return the request for every page of a run's form, without an image."""
    options = pb.RecognizeRequest.FromString(plan.request)
    request = pb.RecognizeFormRequest(
        form=pb.Form.FromString(plan.form), alternatives=options.alternatives
    )
    if options.HasField("accepted_error_rate"):
        request.accepted_error_rate = options.accepted_error_rate
    return request


class Loaded(NamedTuple):
    """An item's bytes, in a temporary file if they are many."""

    sha256: str
    content: bytes | BinaryIO


def load(item: Item, limits: Limits) -> Loaded:
    """Read an item's bytes.

    Raises:
        InputError: they cannot be read, or are too many.
    """
    digest = hashlib.sha256()
    pieces: list[bytes] = []
    file: BinaryIO | None = None
    size = 0
    with closing(item.pieces(max_bytes_of(item.source, limits))) as reading:
        for piece in reading:
            digest.update(piece)
            size += len(piece)
            if file is not None:
                file.write(piece)
                continue
            pieces.append(piece)
            if size > limits.max_bytes:
                if not is_pdf(pieces[0]):  # whatever its name says
                    raise too_many_bytes(max(item.size, size), limits.max_bytes)
                file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when nobody has it
                file.writelines(pieces)
                pieces.clear()
    if file is None:
        return Loaded(digest.hexdigest(), b"".join(pieces))
    file.flush()
    return Loaded(digest.hexdigest(), file)


def copy(item: Item, path: Path) -> bool:
    """Copy an item's bytes to a file; return false if they cannot be read.

    Raises:
        UnwritableOutput: the file cannot be written.
    """
    with writing(path), path.open("wb") as file:
        try:
            with closing(item.pieces(MAX_PDF_BYTES)) as reading:
                file.writelines(reading)
            return True
        except InputError:
            path.unlink()
            return False


def is_of_the_item(error: DigitstripError) -> bool:
    """Whether an error sets one item aside; others would be the same for every item."""
    own = (InputError, MissingExtra, WorkerDied, ReadingTooLong)
    return isinstance(error, own) or error.reason in ("INTERNAL", "SERVER_FAILED")
