"""Responses for pages of forms to JSON records."""

from service.api.json_records import decision_word, reason_words, to_record
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb

OF_STRIP = ("source", "page", "text", "confidence", "decision", "reasons")  # a field has its own


def page_record(source: str, page: int, response: pb.RecognizeFormResponse) -> JsonObject:
    """Return the JSON object that `read --form --json` prints for a page.

    Args:
        source: its name.
        page: from 0; people count from 1, and so does the record.
        response: for it.
    """
    return {
        "source": source,
        "page": page + 1,
        "form": response.form,
        "registration": registration_record(response.registration),
        "fields": [field_record(each) for each in response.fields],
    }


def registration_record(registration: pb.Registration) -> JsonObject:
    """Return the JSON object of where a form lies in a page."""
    measured = {
        name: round(getattr(registration, name), 4) if registration.HasField(name) else None
        for name in ("residual_mm", "inliers")
    }
    return {"status": registration_word(registration), **measured, "why": registration.why}


def registration_word(registration: pb.Registration) -> str:
    """Return REGISTERED or MISREGISTERED."""
    name = pb.RegistrationStatus.Name(registration.status)
    return str(name).removeprefix("REGISTRATION_STATUS_")


def status_word(field: pb.FieldReading) -> str:
    """Return READ, BLANK or MISREGISTERED."""
    return str(pb.FieldStatus.Name(field.status)).removeprefix("FIELD_STATUS_")


def field_record(field: pb.FieldReading) -> JsonObject:
    """Return the JSON object of a field."""
    reading = None
    if field.HasField("reading"):
        strip = to_record("", 0, field.reading)
        reading = {name: value for name, value in strip.items() if name not in OF_STRIP}
    return {
        "name": field.name,
        "status": status_word(field),
        "text": field.reading.text,
        "confidence": round(field.reading.confidence, 6),
        "decision": decision_word(field),
        "reasons": reason_words(field),
        "polygon": [[round(each.x, 2), round(each.y, 2)] for each in field.polygon] or None,
        "reading": reading,
    }
