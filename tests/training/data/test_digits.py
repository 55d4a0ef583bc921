import gzip
import hashlib
import http.server
import socket
import threading
from functools import partial

import numpy as np
import pytest

from training.data.digits import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAINING_IMAGES,
    TRAINING_LABELS,
    IdxFile,
    center,
    download,
    find,
    load_mnist,
    read_idx,
    split,
)
from training.errors import DatasetError

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)


def idx(array):
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def published(array, name="digits-idx3-ubyte"):
    content = idx(array)
    archive = gzip.compress(content, mtime=0)
    return IdxFile(
        name, array.shape, hashlib.md5(archive).hexdigest(), hashlib.md5(content).hexdigest()
    )


def pixels_of(digits):
    return {image.tobytes() for image in digits.images}


# --- mnist5k and the split


def test_mnist5k_has_five_thousand_digits_five_hundred_a_class(mnist5k):
    assert len(mnist5k) == 5000
    assert np.bincount(mnist5k.labels).tolist() == [500] * 10


def test_mnist5k_images_are_whole_windows_of_gray_levels(mnist5k):
    assert mnist5k.images.shape == (5000, 32, 32)
    assert mnist5k.images.dtype == mnist5k.labels.dtype == np.uint8
    assert mnist5k.images.max() == 255
    assert np.median(mnist5k.images) == 0  # ink bright on 0


def test_mnist5k_digits_have_their_center_of_mass_in_the_window_s_middle(mnist5k):
    ink = mnist5k.images.astype(np.float64)
    rows, columns = np.mgrid[0:32, 0:32] + 0.5
    for places in (rows, columns):
        centers = (ink * places).sum((1, 2)) / ink.sum((1, 2))
        assert np.abs(centers - 16).max() < 1


def test_centering_pads_evenly_and_keeps_every_pixel():
    windows = center(IMAGES)
    assert windows.shape == (3, 32, 32)
    np.testing.assert_array_equal(windows[:, 2:30, 2:30], IMAGES)
    assert windows.sum(dtype=np.int64) == IMAGES.sum(dtype=np.int64)


def test_the_split_parts_the_digits_without_overlap(mnist5k):
    training, validation = split(mnist5k)
    assert len(training) + len(validation) == len(mnist5k)
    assert not pixels_of(training) & pixels_of(validation)
    assert pixels_of(training) | pixels_of(validation) == pixels_of(mnist5k)


def test_the_split_holds_out_about_one_digit_in_twelve_of_every_class(mnist5k):
    held_out = np.bincount(split(mnist5k)[1].labels, minlength=10)
    assert 1 / 14 < held_out.sum() / len(mnist5k) < 1 / 10
    assert held_out.min() >= 20


def test_a_digit_falls_on_the_same_side_in_any_order_and_any_subset(mnist5k):
    held_out = pixels_of(split(mnist5k)[1])
    some = mnist5k.where(np.random.default_rng(3).permutation(len(mnist5k))[:1500])
    training, validation = split(some)
    assert pixels_of(validation) == pixels_of(some) & held_out
    assert pixels_of(training) == pixels_of(some) - held_out


def test_the_split_keeps_each_digit_s_label(mnist5k):
    label_of = {
        image.tobytes(): label for image, label in zip(mnist5k.images, mnist5k.labels, strict=True)
    }
    for side in split(mnist5k):
        assert [label_of[image.tobytes()] for image in side.images] == side.labels.tolist()


# --- IDX files


def test_packed_and_unpacked_files_read_equal(tmp_path):
    file = published(IMAGES)
    packed, unpacked = tmp_path / "packed.gz", tmp_path / "unpacked"
    packed.write_bytes(gzip.compress(idx(IMAGES), mtime=0))
    unpacked.write_bytes(idx(IMAGES))
    np.testing.assert_array_equal(read_idx(packed, file), IMAGES)
    np.testing.assert_array_equal(read_idx(unpacked, file), IMAGES)


def test_labels_read_as_one_dimension(tmp_path):
    labels = np.array([5, 0, 4, 1], np.uint8)
    path = tmp_path / "labels"
    path.write_bytes(idx(labels))
    assert read_idx(path, published(labels)).tolist() == [5, 0, 4, 1]


OTHER_PIXEL = IMAGES.copy()
OTHER_PIXEL[1, 2, 3] += 1
ARCHIVE = gzip.compress(idx(IMAGES), mtime=0)


@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        pytest.param(None, "a readable digits-idx3-ubyte", "No such file", id="missing"),
        pytest.param(ARCHIVE[:-20], "a readable digits-idx3-ubyte", "ended before", id="cut gzip"),
        pytest.param(ARCHIVE[:3], "a readable digits-idx3-ubyte", "ended before", id="gzip start"),
        pytest.param(
            ARCHIVE[:10] + b"\xff" * 4 + ARCHIVE[14:],
            "a readable digits-idx3-ubyte",
            "while decompressing data",
            id="no deflate",
        ),
        pytest.param(
            ARCHIVE[:-8] + bytes(4) + ARCHIVE[-4:],
            "a readable digits-idx3-ubyte",
            "CRC check failed",
            id="other checksum",
        ),
        pytest.param(b"", "(magic 00000803)", "found nothing", id="empty"),
        pytest.param(idx(IMAGES[0, 0]), "(magic 00000803)", "00000801", id="labels for images"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "3 dimensions", "found 89504e47", id="no IDX"),
        pytest.param(idx(IMAGES[:2]), "shape (3, 28, 28)", "found (2, 28, 28)", id="shape"),
        pytest.param(idx(IMAGES)[:9], "a header of 16 bytes", "found 9", id="cut header"),
        pytest.param(idx(IMAGES)[:-1], "2352 bytes of data", "found 2351", id="short data"),
        pytest.param(idx(IMAGES) + b"\0", "2352 bytes of data", "found 2353", id="long data"),
        pytest.param(
            idx(OTHER_PIXEL),
            published(IMAGES).content_md5,
            published(OTHER_PIXEL).content_md5,
            id="other content",
        ),
    ],
)
def test_a_file_that_is_not_the_published_one_is_refused_saying_why(
    tmp_path, content, expected, found
):
    path = tmp_path / "data"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError) as refusal:
        read_idx(path, published(IMAGES))
    sentence = str(refusal.value)
    assert sentence.startswith(f"{path}: expected ")
    assert expected in sentence
    assert found in sentence


@pytest.mark.parametrize("name", ["digits-idx3-ubyte", "digits-idx3-ubyte.gz"])
def test_a_file_is_found_packed_or_not(tmp_path, name):
    (tmp_path / name).touch()
    assert find(published(IMAGES), tmp_path) == tmp_path / name


def test_a_folder_without_the_files_is_refused_naming_both_forms(tmp_path):
    with pytest.raises(DatasetError, match=r"expected train-images-idx3-ubyte\.gz or train-images"):
        load_mnist(tmp_path)


def test_the_published_files_are_mnist_s_sixty_and_ten_thousand_digits():
    for images, labels, count in (
        (TRAINING_IMAGES, TRAINING_LABELS, 60_000),
        (TEST_IMAGES, TEST_LABELS, 10_000),
    ):
        assert images.shape == (count, 28, 28)
        assert labels.shape == (count,)


# --- downloads


class Mirror:
    """A folder served on 127.0.0.1, and what was asked of it."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self.asked = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                super().do_GET()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Handler, directory=folder)
        )
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirrors(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    opened = []

    def mirror(content=None):
        opened.append(Mirror(tmp_path / f"mirror{len(opened)}"))
        if content is not None:
            (opened[-1].folder / "digits-idx3-ubyte.gz").write_bytes(content)
        return opened[-1]

    yield mirror
    for each in opened:
        each.close()


@pytest.fixture
def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_download_is_fetched_once_and_then_comes_from_the_cache(mirrors, tmp_path):
    mirror, file = mirrors(ARCHIVE), published(IMAGES)
    paths = [download(file, tmp_path / "cache", [mirror.url]) for _ in range(3)]
    assert mirror.asked == ["/digits-idx3-ubyte.gz"]
    assert set(paths) == {tmp_path / "cache" / "digits-idx3-ubyte.gz"}
    np.testing.assert_array_equal(read_idx(paths[0], file), IMAGES)


def test_a_damaged_file_in_the_cache_is_fetched_again(mirrors, tmp_path):
    mirror, file = mirrors(ARCHIVE), published(IMAGES)
    download(file, tmp_path, [mirror.url]).write_bytes(ARCHIVE[:-1])
    np.testing.assert_array_equal(read_idx(download(file, tmp_path, [mirror.url]), file), IMAGES)
    assert len(mirror.asked) == 2


@pytest.mark.parametrize("fault", ["no such file", "closed port", "wrong content"])
def test_a_broken_first_mirror_falls_to_the_second(mirrors, closed_port, tmp_path, fault):
    broken = closed_port
    if fault != "closed port":
        broken = mirrors(ARCHIVE[:-1] if fault == "wrong content" else None).url
    working, file = mirrors(ARCHIVE), published(IMAGES)
    path = download(file, tmp_path / "cache", [broken, working.url])
    np.testing.assert_array_equal(read_idx(path, file), IMAGES)
    assert len(working.asked) == 1


def test_a_working_first_mirror_leaves_the_second_alone(mirrors, tmp_path):
    first, second = mirrors(ARCHIVE), mirrors(ARCHIVE)
    download(published(IMAGES), tmp_path / "cache", [first.url, second.url])
    assert second.asked == []


def test_when_every_mirror_is_broken_each_one_s_reason_is_told(mirrors, closed_port, tmp_path):
    absent, wrong = mirrors(), mirrors(b"another archive")
    urls = [absent.url, closed_port, wrong.url]
    with pytest.raises(DatasetError) as refusal:
        download(published(IMAGES), tmp_path / "cache", urls)
    sentence = str(refusal.value)
    assert sentence.startswith("digits-idx3-ubyte.gz could not be downloaded; --data-dir names ")
    assert f"{absent.url}: 404" in sentence
    assert f"{closed_port}: " in sentence
    assert "refused" in sentence
    assert f"{wrong.url}: MD5 hash" in sentence
    assert not list((tmp_path / "cache").iterdir())
