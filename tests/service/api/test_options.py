import subprocess
import sys

import numpy as np
import pytest

from service.api.options import CHECK_DIGITS, to_check_digit, to_request
from service.cli.recognition_options import Check
from service.errors import BadConstraint
from service.pb import recognizer_pb2 as pb


def test_what_a_client_imports_loads_neither_imaging_nor_recognition():
    """It is to be light: no OpenCV, no Pillow, no onnxruntime."""
    code = "import sys, service.api.options, service.api.status; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert not loaded & {"cv2", "PIL", "onnxruntime"}
    assert not {name for name in ran.stdout.split() if name.startswith("service.recognition")}


def test_check_digits_are_those_of_the_schema_and_of_the_command_line():
    assert set(CHECK_DIGITS.values()) == {value for value in pb.CheckDigit.values() if value}
    assert list(CHECK_DIGITS) == list(Check)


def test_a_check_digit_is_known_by_its_name_in_either_case():
    assert to_check_digit("luhn") == to_check_digit("LUHN") == pb.CHECK_DIGIT_LUHN
    with pytest.raises(BadConstraint, match="'crc' is no check digit scheme; expected luhn, mod97"):
        to_check_digit("crc")


def test_a_request_has_the_fields_of_its_options():
    request = to_request(b"bytes", 3, True, alternatives=2, accepted_error_rate=0.1)
    assert (request.image.encoded, request.image.page) == (b"bytes", 3)
    assert request.include_scores
    assert (request.alternatives, request.accepted_error_rate) == (2, 0.1)
    raster = to_request(np.arange(6, dtype=np.uint8).reshape(2, 3)).image.raster
    assert (raster.width, raster.height, raster.pixels) == (3, 2, bytes(range(6)))
