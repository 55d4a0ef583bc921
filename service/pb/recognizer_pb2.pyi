from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Polarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLARITY_UNSPECIFIED: _ClassVar[Polarity]
    POLARITY_DARK_ON_LIGHT: _ClassVar[Polarity]
    POLARITY_LIGHT_ON_DARK: _ClassVar[Polarity]
POLARITY_UNSPECIFIED: Polarity
POLARITY_DARK_ON_LIGHT: Polarity
POLARITY_LIGHT_ON_DARK: Polarity

class RecognizeRequest(_message.Message):
    __slots__ = ("image", "omit_scores")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    OMIT_SCORES_FIELD_NUMBER: _ClassVar[int]
    image: Image
    omit_scores: bool
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., omit_scores: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("text", "confidence", "digits", "scores", "normalization", "model_digest")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    digits: _containers.RepeatedCompositeFieldContainer[Digit]
    scores: ScoreMap
    normalization: Normalization
    model_digest: str
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ..., digits: _Optional[_Iterable[_Union[Digit, _Mapping]]] = ..., scores: _Optional[_Union[ScoreMap, _Mapping]] = ..., normalization: _Optional[_Union[Normalization, _Mapping]] = ..., model_digest: _Optional[str] = ...) -> None: ...

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
    runners_up: _containers.RepeatedCompositeFieldContainer[Alternative]
    first_position: int
    last_position: int
    position: float
    def __init__(self, label: _Optional[str] = ..., confidence: _Optional[float] = ..., extent: _Optional[_Union[Box, _Mapping]] = ..., runners_up: _Optional[_Iterable[_Union[Alternative, _Mapping]]] = ..., first_position: _Optional[int] = ..., last_position: _Optional[int] = ..., position: _Optional[float] = ...) -> None: ...

class Alternative(_message.Message):
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
    __slots__ = ("polarity", "scale_x", "scale_y", "text_band", "source_width", "source_height")
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    SCALE_X_FIELD_NUMBER: _ClassVar[int]
    SCALE_Y_FIELD_NUMBER: _ClassVar[int]
    TEXT_BAND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    polarity: Polarity
    scale_x: float
    scale_y: float
    text_band: Box
    source_width: int
    source_height: int
    def __init__(self, polarity: _Optional[_Union[Polarity, str]] = ..., scale_x: _Optional[float] = ..., scale_y: _Optional[float] = ..., text_band: _Optional[_Union[Box, _Mapping]] = ..., source_width: _Optional[int] = ..., source_height: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("code", "reason", "message", "field")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    field: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("labels", "receptive_field", "stride", "digest", "version", "training_json")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RECEPTIVE_FIELD_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TRAINING_JSON_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    receptive_field: int
    stride: int
    digest: str
    version: str
    training_json: str
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., receptive_field: _Optional[int] = ..., stride: _Optional[int] = ..., digest: _Optional[str] = ..., version: _Optional[str] = ..., training_json: _Optional[str] = ...) -> None: ...
