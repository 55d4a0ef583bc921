"""What is read beside images: manifests, archives, journals, templates, PDFs; and frames."""

import gzip
import io
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from service.batch.pages import PageResult, PageStatus
from service.batch.plan import Place
from service.batch.state.journal import MAGIC, Journal, records_of
from service.errors import BadForm, InputError, SettingsError
from service.forms.template import build
from service.imaging.limits import Limits
from service.inputs.archives import members
from service.inputs.documents import Document
from service.inputs.items import Item
from service.inputs.manifest import read_manifest
from service.inputs.open_files import opened_tar, opened_zip
from service.inputs.pdf_fields import text_fields
from service.pb import recognizer_pb2 as pb
from service.review import journal as review
from service.review.settings import Settings
from service.workers.framing import Frames, pack
from tests.conftest import ROOT
from tests.support.acroform import COMB, MULTILINE, Widget, acroform

FILES = ("manifest", "journal", "review", "zip", "tar", "form", "pdf", "frames")
MOST_ITEMS = 300  # of one input that are looked at
MOST_READ = 5  # members of one archive that are read
LARGEST = 2**20  # bytes of one member
PDF_LIMITS, PDF_DPI = Limits(max_pixels=2**20, max_width=2**13), 50
SETTINGS = {"format": 1}
HEAD = review.Head(
    "ab" * 32, Settings(sample=7, constraint="check_digit: LUHN", planted={"2": "9"})
)
FOLDER = tempfile.TemporaryDirectory(prefix="digitstrip-fuzz-")
MORE = {"sample": 9}
EXAMPLE = ROOT / "examples" / "forms"
FORM = rb"""name = "card"
[page]
width = 90.5
height = 55
[registration]
by = "corners"
marks = [[5, 5], [85, 5], [85, 50]]
side = 4
aruco = [1, 2, 3]
residual = 0.4
[[field]]
name = "one"
box = [10, 10, 40.5, 8]
pattern = '[01]{2,4}(\d|-)?'
search = 0.5
[[field]]
name = "two"
box = [10, 30, 30, 8]
allowed = ["12", "3-4"]
check = "luhn"
comb = 5
blank = false
"""
ROW = b'{"source": "1.png"}'


def file_seeds(image):
    """Valid inputs by kind."""
    return {
        "manifest": [
            b"path,id,page,length,pattern,allowed,check\r\na.png,7,1,3-5,\\d+,12|13,luhn\r\n",
            b'\xef\xbb\xbf File ,ID\n"a ""b"".png",=1\n\nb.png,"two\nlines"\n',
            b"path\n" + b"a.png\n" * 50,
        ],
        "journal": [journal()],
        "review": [review_journal()],
        "zip": list(zips(image)),
        "tar": list(tars(image)),
        "form": [(EXAMPLE / "form.toml").read_bytes(), FORM],
        "pdf": list(pdfs()),
        "frames": [
            b"".join(pack({"ready": True}, image)),
            b"".join(pack({"error": {"reason": "BAD_MODEL", "message": "no", "field": ""}}) * 2),
            b"".join(pack({"deep": [[[{"a": [1.5, None, True, "\u20ac"]}]]]}, b"body")),
        ],
    }


def pdfs():
    print_ = np.full((40, 60), 255, np.uint8)
    print_[10:30, 20:24] = 0
    widgets = [
        Widget("one", (2, 2, 20, 5), longest=4, flags=COMB),
        Widget("two \u20ac", (2, 10, 20, 5)),
        Widget("three", (2, 15, 20, 4), flags=MULTILINE),
    ]
    yield acroform(print_, (30, 20), widgets)
    yield acroform(print_, (30, 20), widgets[:1], rotate=90, origin=7.5)
    file = io.BytesIO()
    pages = [Image.fromarray(each) for each in (print_, print_.T)]
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    yield file.getvalue()


def journal():
    path = Path(FOLDER.name, "seed")
    with Journal(path, SETTINGS) as written:
        for number in range(3):
            result = PageResult(0, PageStatus.READ, 0.5, ROW, b"scores")
            written.append(Place(number, 0, item(number)), result, True)
    content = path.read_bytes()
    path.unlink()
    return content


def review_journal():
    path = Path(FOLDER.name, "seed")
    with review.Journal(path, HEAD) as written:
        for number in range(3):
            written.append([review.Event(f"e{number}", "ada", "text", row=number, text="12")])
        written.append([review.Event("c", "ada", "carpet", digits=((1, 2), (3, 0)), odd=((1, 2),))])
    with review.Journal(path, replace(HEAD, settings=Settings(**vars(HEAD.settings) | MORE))):
        pass
    content = path.read_bytes()
    path.unlink()
    return content


def item(number):
    return Item(f"{number}.png", identity="1")


def zips(image):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("a.png", image)
            archive.writestr("in/b.png", b"no image")
            archive.comment = b"a comment"
        yield file.getvalue()


def tars(image):
    for how in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=how) as archive:
            for name in ("a.png", f"{'long/' * 15 if how else ''}\u20ac.png"):
                info = tarfile.TarInfo(name)
                info.size = len(image)
                archive.addfile(info, io.BytesIO(image))
        yield file.getvalue()
    yield gzip.compress(file.getvalue())


def examine_file(kind, data):
    """Put an input through what reads its kind; only Digitstrip's errors are allowed."""
    if kind in IN_MEMORY:
        IN_MEMORY[kind](data)
        return
    suffixes = {"manifest": ".csv", "zip": ".zip", "tar": ".tar"}
    path = Path(FOLDER.name, f"input{suffixes.get(kind, '')}")
    path.write_bytes(data)
    if kind == "manifest":
        with suppress(SettingsError):
            for each in islice(read_manifest(path), MOST_ITEMS):
                assert isinstance(each, Item)
    elif kind == "journal":
        examine_journal(path, data)
    elif kind == "review":
        examine_review(path, data)
    else:
        try:
            found = list(islice(members(str(path), "", lambda _: True), MOST_ITEMS))
            for each in found[:MOST_READ]:
                with suppress(InputError):
                    assert sum(map(len, each.pieces(LARGEST))) <= LARGEST
        finally:
            opened_zip.cache_clear()
            opened_tar.cache_clear()


def examine_frames(data):
    """Feed a worker's answers in pieces; what is no frame is a ValueError."""
    frames = Frames()
    with suppress(ValueError):
        for at in range(0, len(data), 1000):
            for head, body in frames.feed(data[at : at + 1000]):
                assert isinstance(body, bytes), head


def examine_form(data):
    """Check a template, as it comes with a request."""
    with suppress(BadForm):
        build(pb.Form(template=data.decode(errors="replace"), name="none"), Limits())


def examine_pdf(data):
    """Draw two pages of a document, and find a page's text fields."""
    with suppress(InputError):
        document = Document(data, PDF_LIMITS, PDF_DPI)
        for number in range(min(document.pages, 2)):
            with suppress(InputError):
                document.page(number)
    with suppress(InputError):
        text_fields(data, 0)


IN_MEMORY = {"frames": examine_frames, "form": examine_form, "pdf": examine_pdf}


def examine_journal(path, data):
    """Read a journal, then take it up; what is somebody else's file stays as it is."""
    with suppress(SettingsError):
        for _ in records_of(path):
            pass
    try:
        with Journal(path, SETTINGS) as taken_up:
            list(taken_up.remaining([item(number) for number in range(3)]))
    except SettingsError:
        assert path.read_bytes() == data, "a journal that was refused was changed"
    else:
        start = data[: len(MAGIC)]
        assert MAGIC.startswith(start), "somebody else's file was taken for a journal"
    path.with_name(path.name + ".earlier").unlink(missing_ok=True)


def examine_review(path, data):
    """Read a review's journal, then take it up; one that is refused stays as it is."""
    with suppress(SettingsError):
        review.read_journal(path)
    try:
        with review.Journal(path, HEAD) as taken_up:
            assert all(isinstance(each, review.Event) for each in taken_up.events)
    except SettingsError:
        assert path.read_bytes() == data, "a review's journal that was refused was changed"
