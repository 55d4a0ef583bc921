import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.workers.framing import (
    MAX_BODY,
    MAX_HEAD,
    SIZES,
    Frames,
    pack,
    read_frame,
    write_frame,
)

HEADS = st.dictionaries(
    st.text(max_size=5), st.none() | st.integers() | st.text(max_size=9) | st.lists(st.booleans())
)
FRAMES = st.lists(st.tuples(HEADS, st.binary(max_size=99)), max_size=5)


def written(frames):
    pipe = io.BytesIO()
    for head, body in frames:
        write_frame(pipe, head, body)
    return pipe.getvalue()


def read_all(said):
    pipe = io.BytesIO(said)
    return list(iter(lambda: read_frame(pipe), None))


def fed(said, cuts):
    frames, whole = Frames(), []
    for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
        whole += frames.feed(said[start:end])
    return whole


@given(FRAMES, st.data())
def test_frames_cut_anywhere_come_out_whole_and_both_readers_agree(frames, data):
    said = written(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=9)))
    assert fed(said, cuts) == read_all(said) == frames


@given(FRAMES)
def test_frames_that_come_byte_by_byte_come_out_whole(frames):
    said = written(frames)
    assert fed(said, range(1, len(said) + 1)) == frames


@given(FRAMES, st.data())
def test_of_a_pipe_that_breaks_off_both_readers_take_what_was_whole(frames, data):
    said = written(frames)
    end = data.draw(st.integers(0, len(said)))
    assert fed(said[:end], []) == read_all(said[:end]) == frames[: len(read_all(said[:end]))]


@pytest.mark.parametrize("end", range(1, 30))
def test_a_frame_without_body_that_breaks_off_is_none(end):
    said = written([({"ready": True, "so": "far"}, b"")])
    assert len(said) > 30
    assert read_all(said[:end]) == []


def test_a_large_body_is_packed_without_being_copied():
    body = bytes(2**20)
    assert pack({}, body)[1] is body


def test_a_frame_is_its_sizes_a_head_of_json_and_a_body():
    said = written([({"pixels": 3}, b"abc")])
    of_head, of_body = SIZES.unpack_from(said)
    assert json.loads(said[SIZES.size : SIZES.size + of_head]) == {"pixels": 3}
    assert said[-of_body:] == b"abc"


@pytest.mark.parametrize("sizes", [(MAX_HEAD + 1, 0), (2, MAX_BODY + 1)])
def test_a_frame_larger_than_any_may_be_is_refused_before_it_is_taken_in(sizes):
    with pytest.raises(ValueError, match="a frame of"):
        list(Frames().feed(SIZES.pack(*sizes)))


@pytest.mark.parametrize("head", [b"[" * 100_000, b"3", b"[1]", b"nonsense"])
def test_a_head_that_is_none_is_a_malformed_frame(head):
    with pytest.raises(ValueError, match=r"head|Expecting value|nested too deeply"):
        list(Frames().feed(SIZES.pack(len(head), 0) + head))
