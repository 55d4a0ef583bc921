"""Pages of forms to ALTO 4, what libraries and archives keep text in.

A field is a TextBlock. Its name, status, decision and reasons are tags that it refers to; the
reading is a String with its confidence, each digit a Glyph, and what else it may be a Variant.
"""

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import cv2
import numpy as np

from service.api.json_records import decision_word, reason_words
from service.forms.crops import AROUND_MM
from service.forms.json_records import status_word
from service.forms.places import Box, Matrix, Points
from service.forms.template import Form
from service.pb import recognizer_pb2 as pb

NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
SCHEMA = "4.2"  # what is written has been in it since 4.0
SUFFIX = ".xml"
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Alto:
    """A page as a document of ALTO."""

    encoded: bytes

    def save(self, path: Path) -> None:
        """Write it.

        Raises:
            OSError: it cannot be written.
            ValueError: the name has another suffix.
        """
        if path.suffix.lower() != SUFFIX:
            raise ValueError(f"expected a name that ends in {SUFFIX}")
        path.write_bytes(self.encoded)


def to_alto(
    response: pb.RecognizeFormResponse,
    form: Form,
    size: tuple[int, int],
    source: str,
    number: int = 0,
) -> Alto:
    """Return the document of a page that was read as a form.

    Args:
        response: for it.
        form: that it was read as.
        size: width and height of the page, pixels.
        source: name of the file that the page is of.
        number: of the page in it, from 0.
    """
    root = Element("alto", xmlns=NAMESPACE, SCHEMAVERSION=SCHEMA)
    _describe(SubElement(root, "Description"), response, source)
    tags = SubElement(root, "Tags")
    _tag(tags, "form", "form", response.form)
    layout = SubElement(root, "Layout")
    width, height = (str(side) for side in size)
    # Each page has its own file.
    sides = {"WIDTH": width, "HEIGHT": height}
    page = SubElement(layout, "Page", sides, ID="page", PHYSICAL_IMG_NR=str(number + 1))
    space = SubElement(page, "PrintSpace", WIDTH=width, HEIGHT=height, HPOS="0", VPOS="0")
    boxes = {each.name: each.box.grown(_margin(form)) for each in form.fields}
    for at, field in enumerate(response.fields, 1):
        _block(space, tags, f"field{at}", field, form, boxes[field.name])
    ElementTree.indent(root)
    return Alto(ElementTree.tostring(root, "utf-8", xml_declaration=True))


def _describe(description: Element, response: pb.RecognizeFormResponse, source: str) -> None:
    SubElement(description, "MeasurementUnit").text = "pixel"
    image = SubElement(description, "sourceImageInformation")
    SubElement(image, "fileName").text = NOT_XML.sub("\ufffd", source)
    step = SubElement(description, "Processing", ID="reading")
    SubElement(step, "processingCategory").text = "contentGeneration"
    models = f"model {response.model_digest}"
    if response.second_reader_digest:
        models += f", second reader {response.second_reader_digest}"
    SubElement(step, "processingStepSettings").text = models
    software = SubElement(step, "processingSoftware")
    SubElement(software, "softwareName").text = "digitstrip"
    SubElement(software, "softwareVersion").text = version("digitstrip")


def _block(
    space: Element, tags: Element, name: str, field: pb.FieldReading, form: Form, around: Box
) -> None:
    _tag(tags, name, "field", field.name)
    refs = ["form", name]
    said = [("status", status_word(field)), ("decision", decision_word(field))]
    for kind, label in [*said, *(("reason", each) for each in reason_words(field))]:
        if label:
            refs.append(f"{kind}.{label}")
            if tags.find(f"OtherTag[@ID='{refs[-1]}']") is None:
                _tag(tags, refs[-1], kind, label)
    polygon = np.array([(each.x, each.y) for each in field.polygon]).reshape(-1, 2)
    block = SubElement(space, "TextBlock", _extent(polygon), ID=f"block.{name}")
    block.set("TAGREFS", " ".join(refs))
    if len(polygon):
        _shape(block, polygon)
    reading = field.reading
    if not reading.text:  # ALTO has no line without a word
        return
    line = SubElement(block, "TextLine", _extent(polygon), ID=f"line.{name}")
    confidence = f"{reading.confidence:.6f}"
    string = SubElement(line, "String", _extent(polygon), ID=f"text.{name}")
    string.attrib |= {"CONTENT": reading.text, "WC": confidence}
    matrix = _to_page(field, around, _margin(form))
    for digit in reading.digits:
        edges = digit.extent
        corners = Box(edges.left, edges.top, edges.right - edges.left, edges.bottom - edges.top)
        there = cv2.perspectiveTransform(corners.corners[None], matrix)[0]
        glyph = SubElement(string, "Glyph", _extent(np.asarray(there, np.float64)))
        glyph.attrib |= {"CONTENT": digit.label, "GC": f"{digit.confidence:.6f}"}
        for other in digit.runners_up:
            if len(other.label) == 1:  # `none` is no character
                SubElement(glyph, "Variant", CONTENT=other.label, VC=f"{other.confidence:.6f}")


def _to_page(field: pb.FieldReading, around: Box, margin: float) -> Matrix:
    """Return the map of the crop's pixels to the page's: both have the box's corners."""
    done = field.reading.normalization
    scale = np.array([done.source_width / around.width, done.source_height / around.height])
    inner = Box(margin, margin, around.width - 2 * margin, around.height - 2 * margin)
    here = np.asarray(inner.corners * scale, np.float32)
    there = np.array([(each.x, each.y) for each in field.polygon], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(here, there), np.float64)


def _margin(form: Form) -> float:
    return AROUND_MM if form.reference is not None else 0.0


def _extent(polygon: Points) -> dict[str, str]:
    if not len(polygon):
        return {}
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    places = {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
    return {name: f"{value:.2f}" for name, value in places.items()}


def _shape(parent: Element, polygon: Points) -> None:
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in polygon)
    SubElement(SubElement(parent, "Shape"), "Polygon", POINTS=points)


def _tag(tags: Element, identifier: str, kind: str, label: str) -> None:
    clean = NOT_XML.sub("\ufffd", label)
    SubElement(tags, "OtherTag", ID=identifier, TYPE=kind, LABEL=clean)
