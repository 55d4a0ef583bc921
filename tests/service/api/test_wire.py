"""Fields of serialized messages, against protobuf's own parser."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from service.api.options import to_image
from service.api.wire import (
    form_request_pixels,
    join_stream_error,
    join_stream_response,
    request_constraint,
    request_form,
    request_pixels,
    split_stream_request,
    with_form,
)
from service.errors import MalformedMessage
from service.pb import recognizer_pb2 as pb
from tests.conftest import STRIPS

PNG = (STRIPS / "postcode-ruled.png").read_bytes()

images = st.one_of(
    st.builds(pb.Image, encoded=st.binary(max_size=400), page=st.integers(0, 2**32 - 1)),
    st.builds(
        pb.Image,
        raster=st.builds(
            pb.GrayRaster,
            width=st.integers(0, 2**32 - 1),
            height=st.integers(0, 2**32 - 1),
            pixels=st.binary(max_size=20),
        ),
    ),
)
requests = st.builds(
    pb.RecognizeRequest,
    image=images,
    include_scores=st.booleans(),
    accepted_error_rate=st.floats(allow_nan=False),
    alternatives=st.integers(0, 30),
)


@given(requests)
def test_a_raster_declares_its_width_times_its_height(request):
    raster = request.image.raster
    if request.image.HasField("raster"):
        assert request_pixels(request.SerializeToString()) == raster.width * raster.height


@pytest.mark.parametrize(("name", "pixels"), [("one-digit.png", None), ("serial.tif", None)])
def test_an_encoded_image_declares_its_pixels(name, pixels):
    from PIL import Image

    with Image.open(STRIPS / name) as opened:
        pixels = opened.width * opened.height
    request = pb.RecognizeRequest(image=to_image((STRIPS / name).read_bytes()))
    assert request_pixels(request.SerializeToString()) == pixels


def test_no_image_declares_no_pixels():
    assert request_pixels(b"") == 0
    assert request_pixels(pb.RecognizeRequest(image=pb.Image()).SerializeToString()) == 0


def test_the_last_of_two_images_counts_as_for_protobuf():
    first = pb.RecognizeRequest(image=to_image(PNG)).SerializeToString()
    raster = pb.Image(raster=pb.GrayRaster(width=3, height=2, pixels=bytes(6)))
    assert request_pixels(first + pb.RecognizeRequest(image=raster).SerializeToString()) == 6


@given(st.text(max_size=300), requests)
def test_a_stream_request_splits_into_its_id_and_its_request(id_, request):
    whole = pb.RecognizeStreamRequest(id=id_, request=request)
    found, serialized = split_stream_request(whole.SerializeToString())
    assert found.decode() == id_
    assert pb.RecognizeRequest.FromString(serialized) == request


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_joined_stream_response_is_what_protobuf_makes(id_, text):
    response = pb.RecognizeResponse(text=text)
    joined = join_stream_response(id_.encode(), response.SerializeToString())
    assert pb.RecognizeStreamResponse.FromString(joined) == pb.RecognizeStreamResponse(
        id=id_, response=response
    )
    error = pb.Error(reason="NO", message=text)
    assert pb.RecognizeStreamResponse.FromString(
        join_stream_error(id_.encode(), error)
    ) == pb.RecognizeStreamResponse(id=id_, error=error)


@given(st.binary(max_size=60))
def test_bytes_that_are_refused_are_no_message_for_protobuf_either(content):
    for scan, kind in (
        (request_pixels, pb.RecognizeRequest),
        (split_stream_request, pb.RecognizeStreamRequest),
        (form_request_pixels, pb.RecognizeFormRequest),
        (request_form, pb.RecognizeFormRequest),
    ):
        try:
            scan(content)
        except MalformedMessage:
            with pytest.raises(DecodeError):
                kind.FromString(content)


@given(images, st.text(max_size=20), st.lists(st.text(max_size=5), max_size=3))
def test_the_constraint_of_a_request_is_found(image, pattern, allowed):
    constraint = pb.Constraint(pattern=pattern, allowed=allowed)
    request = pb.RecognizeRequest(image=image, constraint=constraint, alternatives=3)
    assert request_constraint(request.SerializeToString()) == constraint.SerializeToString()
    plain = pb.RecognizeRequest(image=image).SerializeToString()
    assert request_constraint(plain) == b""
    rest = pb.RecognizeRequest(constraint=pb.Constraint(pattern="1"))
    both = request_constraint(request.SerializeToString() + rest.SerializeToString())
    assert both == constraint.SerializeToString() + rest.constraint.SerializeToString()


def test_a_constraint_of_a_malformed_request_is_refused_as_such():
    with pytest.raises(MalformedMessage):
        request_constraint(b"\xff\xff\xff")


@given(images, images, st.text(max_size=9), st.text(max_size=9))
def test_the_form_of_a_request_is_found_and_put_where_a_name_stood(page, blank, name, template):
    form = pb.Form(template=template, reference=blank)
    named = pb.RecognizeFormRequest(image=page, form_name=name, alternatives=3).SerializeToString()
    inline = pb.RecognizeFormRequest(image=page, form=form, alternatives=3).SerializeToString()
    assert request_form(named) == (name, b"")
    assert request_form(inline) == (None, form.SerializeToString())
    assert request_form(inline + named)[0] == name  # of both, the last one counts, as in protobuf
    assert request_form(named + inline)[0] is None
    for each in (named, inline + named):
        filled = pb.RecognizeFormRequest.FromString(with_form(each, form.SerializeToString()))
        assert filled.WhichOneof("which") == "form"
        assert filled.form == form
    pixels = [
        request_pixels(pb.RecognizeRequest(image=each).SerializeToString())
        for each in (page, blank)
    ]
    assert form_request_pixels(inline) == max(pixels)
    assert form_request_pixels(named) == pixels[0]
