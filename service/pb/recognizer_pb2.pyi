import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckDigit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_DIGIT_UNSPECIFIED: _ClassVar[CheckDigit]
    CHECK_DIGIT_LUHN: _ClassVar[CheckDigit]
    CHECK_DIGIT_MOD97: _ClassVar[CheckDigit]
    CHECK_DIGIT_ISBN10: _ClassVar[CheckDigit]
    CHECK_DIGIT_ISBN13: _ClassVar[CheckDigit]
    CHECK_DIGIT_VERHOEFF: _ClassVar[CheckDigit]

class ConstraintOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSTRAINT_OUTCOME_UNSPECIFIED: _ClassVar[ConstraintOutcome]
    CONSTRAINT_OUTCOME_FREE: _ClassVar[ConstraintOutcome]
    CONSTRAINT_OUTCOME_CHANGED: _ClassVar[ConstraintOutcome]
    CONSTRAINT_OUTCOME_IMPOSSIBLE: _ClassVar[ConstraintOutcome]
    CONSTRAINT_OUTCOME_UNSEARCHED: _ClassVar[ConstraintOutcome]

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_ACCEPT: _ClassVar[Decision]
    DECISION_REVIEW: _ClassVar[Decision]

class ReviewReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_REASON_UNSPECIFIED: _ClassVar[ReviewReason]
    REVIEW_REASON_NOTHING_SEEN: _ClassVar[ReviewReason]
    REVIEW_REASON_SECOND_LINE: _ClassVar[ReviewReason]
    REVIEW_REASON_UNEXPLAINED_INK: _ClassVar[ReviewReason]
    REVIEW_REASON_STRUCK_OUT: _ClassVar[ReviewReason]
    REVIEW_REASON_CUT_OFF: _ClassVar[ReviewReason]
    REVIEW_REASON_CONSTRAINT: _ClassVar[ReviewReason]
    REVIEW_REASON_LOW_CONFIDENCE: _ClassVar[ReviewReason]
    REVIEW_REASON_MISREGISTERED: _ClassVar[ReviewReason]
    REVIEW_REASON_BLANK: _ClassVar[ReviewReason]
    REVIEW_REASON_ON_PRINT: _ClassVar[ReviewReason]

class Polarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLARITY_UNSPECIFIED: _ClassVar[Polarity]
    POLARITY_DARK_ON_LIGHT: _ClassVar[Polarity]
    POLARITY_LIGHT_ON_DARK: _ClassVar[Polarity]

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CHANNEL_LUMINANCE: _ClassVar[Channel]
    CHANNEL_RED: _ClassVar[Channel]
    CHANNEL_GREEN: _ClassVar[Channel]
    CHANNEL_BLUE: _ClassVar[Channel]
    CHANNEL_DROP_OUT: _ClassVar[Channel]

class RegistrationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REGISTRATION_STATUS_UNSPECIFIED: _ClassVar[RegistrationStatus]
    REGISTRATION_STATUS_REGISTERED: _ClassVar[RegistrationStatus]
    REGISTRATION_STATUS_MISREGISTERED: _ClassVar[RegistrationStatus]

class FieldStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIELD_STATUS_UNSPECIFIED: _ClassVar[FieldStatus]
    FIELD_STATUS_READ: _ClassVar[FieldStatus]
    FIELD_STATUS_BLANK: _ClassVar[FieldStatus]
    FIELD_STATUS_MISREGISTERED: _ClassVar[FieldStatus]
CHECK_DIGIT_UNSPECIFIED: CheckDigit
CHECK_DIGIT_LUHN: CheckDigit
CHECK_DIGIT_MOD97: CheckDigit
CHECK_DIGIT_ISBN10: CheckDigit
CHECK_DIGIT_ISBN13: CheckDigit
CHECK_DIGIT_VERHOEFF: CheckDigit
CONSTRAINT_OUTCOME_UNSPECIFIED: ConstraintOutcome
CONSTRAINT_OUTCOME_FREE: ConstraintOutcome
CONSTRAINT_OUTCOME_CHANGED: ConstraintOutcome
CONSTRAINT_OUTCOME_IMPOSSIBLE: ConstraintOutcome
CONSTRAINT_OUTCOME_UNSEARCHED: ConstraintOutcome
DECISION_UNSPECIFIED: Decision
DECISION_ACCEPT: Decision
DECISION_REVIEW: Decision
REVIEW_REASON_UNSPECIFIED: ReviewReason
REVIEW_REASON_NOTHING_SEEN: ReviewReason
REVIEW_REASON_SECOND_LINE: ReviewReason
REVIEW_REASON_UNEXPLAINED_INK: ReviewReason
REVIEW_REASON_STRUCK_OUT: ReviewReason
REVIEW_REASON_CUT_OFF: ReviewReason
REVIEW_REASON_CONSTRAINT: ReviewReason
REVIEW_REASON_LOW_CONFIDENCE: ReviewReason
REVIEW_REASON_MISREGISTERED: ReviewReason
REVIEW_REASON_BLANK: ReviewReason
REVIEW_REASON_ON_PRINT: ReviewReason
POLARITY_UNSPECIFIED: Polarity
POLARITY_DARK_ON_LIGHT: Polarity
POLARITY_LIGHT_ON_DARK: Polarity
CHANNEL_UNSPECIFIED: Channel
CHANNEL_LUMINANCE: Channel
CHANNEL_RED: Channel
CHANNEL_GREEN: Channel
CHANNEL_BLUE: Channel
CHANNEL_DROP_OUT: Channel
REGISTRATION_STATUS_UNSPECIFIED: RegistrationStatus
REGISTRATION_STATUS_REGISTERED: RegistrationStatus
REGISTRATION_STATUS_MISREGISTERED: RegistrationStatus
FIELD_STATUS_UNSPECIFIED: FieldStatus
FIELD_STATUS_READ: FieldStatus
FIELD_STATUS_BLANK: FieldStatus
FIELD_STATUS_MISREGISTERED: FieldStatus

class RecognizeRequest(_message.Message):
    __slots__ = ("image", "include_scores", "constraint", "alternatives", "accepted_error_rate")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SCORES_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    image: Image
    include_scores: bool
    constraint: Constraint
    alternatives: int
    accepted_error_rate: float
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., include_scores: _Optional[bool] = ..., constraint: _Optional[_Union[Constraint, _Mapping]] = ..., alternatives: _Optional[int] = ..., accepted_error_rate: _Optional[float] = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("length", "pattern", "allowed", "check_digit")
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    CHECK_DIGIT_FIELD_NUMBER: _ClassVar[int]
    length: LengthRange
    pattern: str
    allowed: _containers.RepeatedScalarFieldContainer[str]
    check_digit: CheckDigit
    def __init__(self, length: _Optional[_Union[LengthRange, _Mapping]] = ..., pattern: _Optional[str] = ..., allowed: _Optional[_Iterable[str]] = ..., check_digit: _Optional[_Union[CheckDigit, str]] = ...) -> None: ...

class LengthRange(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("encoded", "raster", "page")
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    RASTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    encoded: bytes
    raster: GrayRaster
    page: int
    def __init__(self, encoded: _Optional[bytes] = ..., raster: _Optional[_Union[GrayRaster, _Mapping]] = ..., page: _Optional[int] = ...) -> None: ...

class GrayRaster(_message.Message):
    __slots__ = ("width", "height", "pixels")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    pixels: bytes
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., pixels: _Optional[bytes] = ...) -> None: ...

class RecognizeResponse(_message.Message):
    __slots__ = ("text", "confidence", "digits", "scores", "normalization", "model_digest", "alternatives", "constraint_outcome", "allowed_probability", "exact", "decision", "readers", "readers_agree", "second_reader_digest", "review_reasons")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINT_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    READERS_FIELD_NUMBER: _ClassVar[int]
    READERS_AGREE_FIELD_NUMBER: _ClassVar[int]
    SECOND_READER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REVIEW_REASONS_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    digits: _containers.RepeatedCompositeFieldContainer[Digit]
    scores: ScoreMap
    normalization: Normalization
    model_digest: str
    alternatives: _containers.RepeatedCompositeFieldContainer[Alternative]
    constraint_outcome: ConstraintOutcome
    allowed_probability: float
    exact: bool
    decision: Decision
    readers: _containers.RepeatedCompositeFieldContainer[ReaderText]
    readers_agree: bool
    second_reader_digest: str
    review_reasons: _containers.RepeatedScalarFieldContainer[ReviewReason]
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ..., digits: _Optional[_Iterable[_Union[Digit, _Mapping]]] = ..., scores: _Optional[_Union[ScoreMap, _Mapping]] = ..., normalization: _Optional[_Union[Normalization, _Mapping]] = ..., model_digest: _Optional[str] = ..., alternatives: _Optional[_Iterable[_Union[Alternative, _Mapping]]] = ..., constraint_outcome: _Optional[_Union[ConstraintOutcome, str]] = ..., allowed_probability: _Optional[float] = ..., exact: _Optional[bool] = ..., decision: _Optional[_Union[Decision, str]] = ..., readers: _Optional[_Iterable[_Union[ReaderText, _Mapping]]] = ..., readers_agree: _Optional[bool] = ..., second_reader_digest: _Optional[str] = ..., review_reasons: _Optional[_Iterable[_Union[ReviewReason, str]]] = ...) -> None: ...

class ReaderText(_message.Message):
    __slots__ = ("reader", "text", "confidence")
    READER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    reader: str
    text: str
    confidence: float
    def __init__(self, reader: _Optional[str] = ..., text: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class Alternative(_message.Message):
    __slots__ = ("text", "confidence")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class Digit(_message.Message):
    __slots__ = ("label", "confidence", "extent", "runners_up", "first_position", "last_position", "position")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    EXTENT_FIELD_NUMBER: _ClassVar[int]
    RUNNERS_UP_FIELD_NUMBER: _ClassVar[int]
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    LAST_POSITION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    label: str
    confidence: float
    extent: Box
    runners_up: _containers.RepeatedCompositeFieldContainer[RunnerUp]
    first_position: int
    last_position: int
    position: float
    def __init__(self, label: _Optional[str] = ..., confidence: _Optional[float] = ..., extent: _Optional[_Union[Box, _Mapping]] = ..., runners_up: _Optional[_Iterable[_Union[RunnerUp, _Mapping]]] = ..., first_position: _Optional[int] = ..., last_position: _Optional[int] = ..., position: _Optional[float] = ...) -> None: ...

class RunnerUp(_message.Message):
    __slots__ = ("label", "confidence")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    label: str
    confidence: float
    def __init__(self, label: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("left", "top", "right", "bottom")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    left: float
    top: float
    right: float
    bottom: float
    def __init__(self, left: _Optional[float] = ..., top: _Optional[float] = ..., right: _Optional[float] = ..., bottom: _Optional[float] = ...) -> None: ...

class ScoreMap(_message.Message):
    __slots__ = ("rows", "positions", "labels", "log_probabilities", "centers")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    CENTERS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    positions: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    log_probabilities: _containers.RepeatedScalarFieldContainer[float]
    centers: Grid
    def __init__(self, rows: _Optional[int] = ..., positions: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., log_probabilities: _Optional[_Iterable[float]] = ..., centers: _Optional[_Union[Grid, _Mapping]] = ...) -> None: ...

class Grid(_message.Message):
    __slots__ = ("origin_x", "origin_y", "step_x", "step_y")
    ORIGIN_X_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_Y_FIELD_NUMBER: _ClassVar[int]
    STEP_X_FIELD_NUMBER: _ClassVar[int]
    STEP_Y_FIELD_NUMBER: _ClassVar[int]
    origin_x: float
    origin_y: float
    step_x: float
    step_y: float
    def __init__(self, origin_x: _Optional[float] = ..., origin_y: _Optional[float] = ..., step_x: _Optional[float] = ..., step_y: _Optional[float] = ...) -> None: ...

class Normalization(_message.Message):
    __slots__ = ("polarity", "scale_x", "scale_y", "text_band", "source_width", "source_height", "slant", "view", "channel", "ink", "skew")
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    SCALE_X_FIELD_NUMBER: _ClassVar[int]
    SCALE_Y_FIELD_NUMBER: _ClassVar[int]
    TEXT_BAND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SLANT_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    INK_FIELD_NUMBER: _ClassVar[int]
    SKEW_FIELD_NUMBER: _ClassVar[int]
    polarity: Polarity
    scale_x: float
    scale_y: float
    text_band: Box
    source_width: int
    source_height: int
    slant: float
    view: View
    channel: Channel
    ink: Ink
    skew: float
    def __init__(self, polarity: _Optional[_Union[Polarity, str]] = ..., scale_x: _Optional[float] = ..., scale_y: _Optional[float] = ..., text_band: _Optional[_Union[Box, _Mapping]] = ..., source_width: _Optional[int] = ..., source_height: _Optional[int] = ..., slant: _Optional[float] = ..., view: _Optional[_Union[View, _Mapping]] = ..., channel: _Optional[_Union[Channel, str]] = ..., ink: _Optional[_Union[Ink, _Mapping]] = ..., skew: _Optional[float] = ...) -> None: ...

class Ink(_message.Message):
    __slots__ = ("seen", "lines", "digits", "unexplained", "outside", "removed", "unexplained_boxes")
    SEEN_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    UNEXPLAINED_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    UNEXPLAINED_BOXES_FIELD_NUMBER: _ClassVar[int]
    seen: bool
    lines: int
    digits: float
    unexplained: float
    outside: float
    removed: float
    unexplained_boxes: _containers.RepeatedCompositeFieldContainer[Box]
    def __init__(self, seen: _Optional[bool] = ..., lines: _Optional[int] = ..., digits: _Optional[float] = ..., unexplained: _Optional[float] = ..., outside: _Optional[float] = ..., removed: _Optional[float] = ..., unexplained_boxes: _Optional[_Iterable[_Union[Box, _Mapping]]] = ...) -> None: ...

class View(_message.Message):
    __slots__ = ("upright", "scale")
    UPRIGHT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    upright: float
    scale: float
    def __init__(self, upright: _Optional[float] = ..., scale: _Optional[float] = ...) -> None: ...

class RecognizeStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: RecognizeRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[RecognizeRequest, _Mapping]] = ...) -> None: ...

class RecognizeStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: RecognizeResponse
    error: Error
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[RecognizeResponse, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "reason", "message", "field", "retry_after")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    field: str
    retry_after: _duration_pb2.Duration
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("labels", "receptive_field", "stride", "digest", "version", "training_json", "calibration", "second_reader")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RECEPTIVE_FIELD_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JSON_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    SECOND_READER_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    receptive_field: int
    stride: int
    digest: str
    version: str
    training_json: str
    calibration: Calibration
    second_reader: SecondReader
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., receptive_field: _Optional[int] = ..., stride: _Optional[int] = ..., digest: _Optional[str] = ..., version: _Optional[str] = ..., training_json: _Optional[str] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., second_reader: _Optional[_Union[SecondReader, _Mapping]] = ...) -> None: ...

class SecondReader(_message.Message):
    __slots__ = ("digest", "training_json", "consulted_below", "weight")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JSON_FIELD_NUMBER: _ClassVar[int]
    CONSULTED_BELOW_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    digest: str
    training_json: str
    consulted_below: float
    weight: float
    def __init__(self, digest: _Optional[str] = ..., training_json: _Optional[str] = ..., consulted_below: _Optional[float] = ..., weight: _Optional[float] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("source", "thresholds")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    source: str
    thresholds: _containers.RepeatedCompositeFieldContainer[Threshold]
    def __init__(self, source: _Optional[str] = ..., thresholds: _Optional[_Iterable[_Union[Threshold, _Mapping]]] = ...) -> None: ...

class Threshold(_message.Message):
    __slots__ = ("error_rate", "confidence", "error_rate_low", "error_rate_high")
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_LOW_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_HIGH_FIELD_NUMBER: _ClassVar[int]
    error_rate: float
    confidence: float
    error_rate_low: float
    error_rate_high: float
    def __init__(self, error_rate: _Optional[float] = ..., confidence: _Optional[float] = ..., error_rate_low: _Optional[float] = ..., error_rate_high: _Optional[float] = ...) -> None: ...

class RecognizeFormRequest(_message.Message):
    __slots__ = ("image", "form", "form_name", "alternatives", "accepted_error_rate")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    FORM_NAME_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    image: Image
    form: Form
    form_name: str
    alternatives: int
    accepted_error_rate: float
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., form: _Optional[_Union[Form, _Mapping]] = ..., form_name: _Optional[str] = ..., alternatives: _Optional[int] = ..., accepted_error_rate: _Optional[float] = ...) -> None: ...

class Form(_message.Message):
    __slots__ = ("template", "reference", "name")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    template: str
    reference: Image
    name: str
    def __init__(self, template: _Optional[str] = ..., reference: _Optional[_Union[Image, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class RecognizeFormResponse(_message.Message):
    __slots__ = ("form", "registration", "fields", "model_digest", "second_reader_digest")
    FORM_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SECOND_READER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    form: str
    registration: Registration
    fields: _containers.RepeatedCompositeFieldContainer[FieldReading]
    model_digest: str
    second_reader_digest: str
    def __init__(self, form: _Optional[str] = ..., registration: _Optional[_Union[Registration, _Mapping]] = ..., fields: _Optional[_Iterable[_Union[FieldReading, _Mapping]]] = ..., model_digest: _Optional[str] = ..., second_reader_digest: _Optional[str] = ...) -> None: ...

class Registration(_message.Message):
    __slots__ = ("status", "residual_mm", "inliers", "why")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_MM_FIELD_NUMBER: _ClassVar[int]
    INLIERS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    status: RegistrationStatus
    residual_mm: float
    inliers: float
    why: str
    def __init__(self, status: _Optional[_Union[RegistrationStatus, str]] = ..., residual_mm: _Optional[float] = ..., inliers: _Optional[float] = ..., why: _Optional[str] = ...) -> None: ...

class FieldReading(_message.Message):
    __slots__ = ("name", "status", "polygon", "reading", "decision", "review_reasons")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POLYGON_FIELD_NUMBER: _ClassVar[int]
    READING_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REVIEW_REASONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    status: FieldStatus
    polygon: _containers.RepeatedCompositeFieldContainer[Point]
    reading: RecognizeResponse
    decision: Decision
    review_reasons: _containers.RepeatedScalarFieldContainer[ReviewReason]
    def __init__(self, name: _Optional[str] = ..., status: _Optional[_Union[FieldStatus, str]] = ..., polygon: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., reading: _Optional[_Union[RecognizeResponse, _Mapping]] = ..., decision: _Optional[_Union[Decision, str]] = ..., review_reasons: _Optional[_Iterable[_Union[ReviewReason, str]]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class ListFormsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RecognizeFormStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: RecognizeFormRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[RecognizeFormRequest, _Mapping]] = ...) -> None: ...

class RecognizeFormStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: RecognizeFormResponse
    error: Error
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[RecognizeFormResponse, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class ListFormsResponse(_message.Message):
    __slots__ = ("forms",)
    FORMS_FIELD_NUMBER: _ClassVar[int]
    forms: _containers.RepeatedCompositeFieldContainer[FormDescription]
    def __init__(self, forms: _Optional[_Iterable[_Union[FormDescription, _Mapping]]] = ...) -> None: ...

class FormDescription(_message.Message):
    __slots__ = ("name", "form", "width_mm", "height_mm", "fields")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    WIDTH_MM_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_MM_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    form: str
    width_mm: float
    height_mm: float
    fields: _containers.RepeatedCompositeFieldContainer[FieldDescription]
    def __init__(self, name: _Optional[str] = ..., form: _Optional[str] = ..., width_mm: _Optional[float] = ..., height_mm: _Optional[float] = ..., fields: _Optional[_Iterable[_Union[FieldDescription, _Mapping]]] = ...) -> None: ...

class FieldDescription(_message.Message):
    __slots__ = ("name", "left_mm", "top_mm", "width_mm", "height_mm", "constraint", "may_be_blank")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEFT_MM_FIELD_NUMBER: _ClassVar[int]
    TOP_MM_FIELD_NUMBER: _ClassVar[int]
    WIDTH_MM_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_MM_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    MAY_BE_BLANK_FIELD_NUMBER: _ClassVar[int]
    name: str
    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float
    constraint: Constraint
    may_be_blank: bool
    def __init__(self, name: _Optional[str] = ..., left_mm: _Optional[float] = ..., top_mm: _Optional[float] = ..., width_mm: _Optional[float] = ..., height_mm: _Optional[float] = ..., constraint: _Optional[_Union[Constraint, _Mapping]] = ..., may_be_blank: _Optional[bool] = ...) -> None: ...
