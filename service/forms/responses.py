"""Pages read as forms to protobuf."""

from collections.abc import Iterator

from service.api.responses import DECISIONS
from service.forms.reading import FieldReading, FieldStatus, PageReading
from service.forms.register import Registration, Status
from service.pb import recognizer_pb2 as pb
from service.recognition.recognizer import Recognizer

STATUSES = {
    Status.REGISTERED: pb.REGISTRATION_STATUS_REGISTERED,
    Status.MISREGISTERED: pb.REGISTRATION_STATUS_MISREGISTERED,
}
FIELD_STATUSES = {
    FieldStatus.READ: pb.FIELD_STATUS_READ,
    FieldStatus.BLANK: pb.FIELD_STATUS_BLANK,
    FieldStatus.MISREGISTERED: pb.FIELD_STATUS_MISREGISTERED,
}


def to_form_response(reading: PageReading, recognizer: Recognizer) -> pb.RecognizeFormResponse:
    """Return the response for a page that was read as a form."""
    return pb.RecognizeFormResponse(
        form=reading.form.name,
        registration=to_registration(reading.registration),
        fields=[_field(each) for each in reading.fields],
        model_digest=recognizer.scorer.digest,
        second_reader_digest=recognizer.second.digest if recognizer.second else "",
    )


def to_registration(registration: Registration) -> pb.Registration:
    """Return the message of where a form lies in a page."""
    return pb.Registration(
        status=STATUSES[registration.status],
        residual_mm=registration.residual,
        inliers=registration.inliers,
        why=registration.why,
    )


def _field(field: FieldReading) -> pb.FieldReading:
    return pb.FieldReading(
        name=field.field.name,
        status=FIELD_STATUSES[field.status],
        polygon=_points(field),
        reading=field.response,
        decision=DECISIONS[field.decision],
        review_reasons=[pb.ReviewReason.Value(f"REVIEW_REASON_{each}") for each in field.reasons],
    )


def _points(field: FieldReading) -> Iterator[pb.Point]:
    if field.polygon is not None:
        for x, y in field.polygon:
            yield pb.Point(x=x, y=y)
