"""Pages read as forms to JSON records."""

from service.api.json_records import to_record
from service.forms.reading import FieldReading, PageReading
from service.forms.register import Registration
from service.json_object import JsonObject

OF_STRIP = ("source", "page", "text", "confidence", "decision", "reasons")  # a field has its own


def page_record(source: str, page: int, reading: PageReading) -> JsonObject:
    """Return the JSON object that `read --form --json` prints for a page.

    Args:
        source: its name.
        page: from 0; people count from 1, and so does the record.
        reading: of it.
    """
    return {
        "source": source,
        "page": page + 1,
        "form": reading.form.name,
        "registration": registration_record(reading.registration),
        "fields": [_field_record(each) for each in reading.fields],
    }


def registration_record(registration: Registration) -> JsonObject:
    """Return the JSON object of where a form lies in a page."""
    return {
        "status": registration.status.value,
        "residual_mm": _rounded(registration.residual),
        "inliers": _rounded(registration.inliers),
        "why": registration.why,
    }


def _field_record(field: FieldReading) -> JsonObject:
    reading = None
    if field.response is not None:
        strip = to_record("", 0, field.response)
        reading = {name: value for name, value in strip.items() if name not in OF_STRIP}
    return {
        "name": field.field.name,
        "status": field.status.value,
        "text": field.text,
        "confidence": round(field.confidence, 6),
        "decision": field.decision.name if field.decision else None,
        "reasons": list(field.reasons),
        "polygon": None if field.polygon is None else field.polygon.round(2).tolist(),
        "reading": reading,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
