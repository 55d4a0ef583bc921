"""The pages of an opened image: only TIFF can have more than one."""

from collections.abc import Iterator
from itertools import count, islice

from PIL import ImageFile, TiffImagePlugin

from service.errors import DamagedImage, NoSuchPage, TooManyPages
from service.imaging.limits import RAISED, Limits

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255  # TIFF tags
REDUCED, MASK, OLD_REDUCED = 1, 4, 2  # bits of the first, and a value of the second
DIRECTORIES_PER_PAGE, SPARE_DIRECTORIES = 4, 16  # the most that are looked through


def count_pages(image: ImageFile.ImageFile, limits: Limits) -> int:
    """Return how many pages there are.

    Raises:
        DamagedImage: a page's directory cannot be read.
        TooManyPages: there are more than allowed.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1
    try:
        pages = sum(1 for _ in _frames(image, limits.max_pages + 1))
    except Exception as error:
        raise DamagedImage(f"the TIFF's pages are damaged: {error}", "image.encoded") from error
    if pages > limits.max_pages:
        raise TooManyPages(
            f"the TIFF has more than {limits.max_pages:,} pages, which is the most allowed; "
            f"{RAISED['max_pages']}",
            "image.encoded",
        )
    return pages


def seek(image: ImageFile.ImageFile, page: int, limits: Limits) -> None:
    """Make a page, counted from 0, the one that is decoded next.

    Raises:
        DamagedImage: its directory, or one before it, cannot be read.
        NoSuchPage: there are fewer pages.
        TooManyPages: it is past the limit.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        if page:
            raise _no_such_page(page, 1)
        return
    wanted = min(page, limits.max_pages)
    try:
        frames = islice(_frames(image, wanted + 1), max(wanted, 0), None)
        found = page >= 0 and next(frames, None) is not None
    except Exception as error:
        raise DamagedImage(f"page {page} is damaged: {error}", "image.encoded") from error
    if not found:
        raise _no_such_page(page, count_pages(image, limits))
    if page >= limits.max_pages:
        raise TooManyPages(
            f"page {page} is past the limit; at most {limits.max_pages:,} pages are allowed",
            "image.page",
        )


def _frames(image: TiffImagePlugin.TiffImageFile, most: int) -> Iterator[int]:
    """Yield the directories of a TIFF that are pages, and stay at each meanwhile.

    Programs put thumbnails and transparency masks beside them: TIFF 6.0, NewSubfileType. Where
    there is nothing else, they are the pages.
    """
    pages = 0
    for frame in count():
        try:
            image.seek(frame)
        except EOFError:
            break
        if not _is_beside(image):
            yield frame
            pages += 1
        if pages == most:
            return
        if frame >= DIRECTORIES_PER_PAGE * most + SPARE_DIRECTORIES:
            break
    for other in range(0 if pages else min(frame, most)):
        image.seek(other)
        yield other


def _is_beside(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether a directory is of a reduced image or a mask, beside a page."""
    kind, old_kind = image.tag_v2.get(NEW_SUBFILE_TYPE, 0), image.tag_v2.get(SUBFILE_TYPE, 0)
    return (isinstance(kind, int) and bool(kind & (REDUCED | MASK))) or old_kind == OLD_REDUCED


def _no_such_page(page: int, pages: int) -> NoSuchPage:
    return NoSuchPage(
        f"there is no page {page}, counted from 0; the image has {pages} page{'s'[: pages > 1]}",
        "image.page",
    )
