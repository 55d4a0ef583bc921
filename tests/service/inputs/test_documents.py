"""Pages of documents that strangers write."""

import re

import numpy as np
import pytest

from service.errors import DamagedImage
from service.imaging.limits import Limits
from service.inputs.documents import Document
from service.inputs.pdf_fields import text_fields
from tests.support.acroform import Widget, acroform

pytest.importorskip("pypdfium2")


def test_a_pdfs_page_that_is_infinitely_large_is_damaged():
    print_ = np.full((4, 6), 255, np.uint8)
    pdf = acroform(print_, (30, 20), [Widget("one", (2, 2, 20, 5))])
    endless = re.sub(rb"/MediaBox \[[^]]*\]", b"/MediaBox [0 0 " + b"9" * 200 + b".5 50]", pdf)
    document = Document(endless, Limits())
    for read in (lambda: document.page(0), lambda: text_fields(endless, 0)):
        with pytest.raises(DamagedImage, match=r"page 1 of the PDF is inf×50 points large"):
            read()
