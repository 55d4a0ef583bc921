"""Recognitions and models to protobuf."""

from importlib.metadata import version

from service.imaging.page import Channel
from service.pb import recognizer_pb2 as pb
from service.recognition.calibration import Calibration
from service.recognition.decoding.reading import FoundDigit, Outcome
from service.recognition.ink_account import InkAccount, Reason
from service.recognition.model_metadata import ModelMetadata
from service.recognition.normalize import Box, Polarity, Strip
from service.recognition.recognizer import Decision, Recognition, Recognizer
from service.recognition.views import HEIGHT

POLARITIES = {
    Polarity.DARK_ON_LIGHT: pb.POLARITY_DARK_ON_LIGHT,
    Polarity.LIGHT_ON_DARK: pb.POLARITY_LIGHT_ON_DARK,
}
CHANNELS = {
    Channel.LUMINANCE: pb.CHANNEL_LUMINANCE,
    Channel.RED: pb.CHANNEL_RED,
    Channel.GREEN: pb.CHANNEL_GREEN,
    Channel.BLUE: pb.CHANNEL_BLUE,
    Channel.DROP_OUT: pb.CHANNEL_DROP_OUT,
}
OUTCOMES = {
    None: pb.CONSTRAINT_OUTCOME_UNSPECIFIED,
    Outcome.FREE: pb.CONSTRAINT_OUTCOME_FREE,
    Outcome.CHANGED: pb.CONSTRAINT_OUTCOME_CHANGED,
    Outcome.IMPOSSIBLE: pb.CONSTRAINT_OUTCOME_IMPOSSIBLE,
    Outcome.UNSEARCHED: pb.CONSTRAINT_OUTCOME_UNSEARCHED,
}
DECISIONS = {
    None: pb.DECISION_UNSPECIFIED,
    Decision.ACCEPT: pb.DECISION_ACCEPT,
    Decision.REVIEW: pb.DECISION_REVIEW,
}
REASONS = {reason: pb.ReviewReason.Value(f"REVIEW_REASON_{reason.name}") for reason in Reason}


def to_response(
    recognition: Recognition, recognizer: Recognizer, include_scores: bool = False
) -> pb.RecognizeResponse:
    """Return the response for a page that a recognizer recognized."""
    reading, strip = recognition.reading, recognition.strip
    readers = recognition.readers
    return pb.RecognizeResponse(
        text=reading.text,
        confidence=reading.confidence,
        digits=[
            _digit(digit, box) for digit, box in zip(reading.digits, recognition.boxes, strict=True)
        ],
        scores=_score_map(recognition, recognizer.metadata) if include_scores else None,
        normalization=_normalization(strip, recognition.channel, recognition.ink),
        model_digest=recognizer.scorer.digest,
        alternatives=[
            pb.Alternative(text=text, confidence=confidence)
            for text, confidence in reading.alternatives
        ],
        constraint_outcome=OUTCOMES[reading.outcome],
        allowed_probability=reading.allowed,
        exact=reading.exact,
        decision=DECISIONS[recognition.decision],
        review_reasons=[REASONS[reason] for reason in recognition.reasons],
        readers=[
            pb.ReaderText(reader=each.reader, text=each.text, confidence=each.confidence)
            for each in readers
        ],
        readers_agree=len({each.text for each in readers}) == 1 if len(readers) > 1 else None,
        second_reader_digest=recognizer.second.digest if recognizer.second else "",
    )


def moved_down(response: pb.RecognizeResponse, rows: int) -> pb.RecognizeResponse:
    """Return a response for a part of a page that begins `rows` below its top, in its pixels."""
    moved = pb.RecognizeResponse()
    moved.CopyFrom(response)
    ink = moved.normalization.ink
    for box in (
        *(digit.extent for digit in moved.digits),
        moved.normalization.text_band,
        *ink.unexplained_boxes,
    ):
        box.top += rows
        box.bottom += rows
    if moved.HasField("scores"):
        moved.scores.centers.origin_y += rows
    return moved


def to_model(recognizer: Recognizer) -> pb.GetModelResponse:
    """Return the description of the models that a recognizer reads with."""
    metadata, second = recognizer.metadata, recognizer.second
    return pb.GetModelResponse(
        labels=metadata.labels,
        receptive_field=metadata.receptive_field,
        stride=metadata.stride,
        digest=recognizer.scorer.digest,
        version=version("digitstrip"),
        training_json=metadata.training,
        calibration=_calibration(recognizer.calibration),
        second_reader=pb.SecondReader(
            digest=second.digest,
            training_json=second.metadata.training,
            consulted_below=recognizer.readers.sure,
            weight=recognizer.readers.weight,
        )
        if second
        else None,
    )


def _calibration(calibration: Calibration) -> pb.Calibration:
    return pb.Calibration(
        source=calibration.source,
        thresholds=[
            pb.Threshold(
                error_rate=each.error_rate,
                confidence=each.confidence,
                error_rate_low=each.low,
                error_rate_high=each.high,
            )
            for each in calibration.thresholds
        ],
    )


def _digit(digit: FoundDigit, box: Box) -> pb.Digit:
    return pb.Digit(
        label=digit.label,
        confidence=digit.confidence,
        extent=_box(box),
        runners_up=[
            pb.RunnerUp(label=other.label, confidence=other.confidence)
            for other in digit.runners_up
        ],
        first_position=digit.first,
        last_position=digit.last,
        position=digit.position,
    )


def _score_map(recognition: Recognition, metadata: ModelMetadata) -> pb.ScoreMap:
    rows, positions, _ = recognition.scores.shape
    strip = recognition.strip
    first_x, first_y = strip.source_point(metadata.center(0), HEIGHT / 2)
    return pb.ScoreMap(
        rows=rows,
        positions=positions,
        labels=metadata.labels,
        log_probabilities=recognition.scores.ravel(),
        centers=pb.Grid(
            origin_x=first_x,
            origin_y=first_y,
            step_x=metadata.stride / strip.scale_x,
            step_y=metadata.stride / strip.scale_y,
        ),
    )


def _box(box: Box) -> pb.Box:
    return pb.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)


def _normalization(strip: Strip, channel: Channel, ink: InkAccount) -> pb.Normalization:
    return pb.Normalization(
        polarity=POLARITIES[strip.polarity],
        channel=CHANNELS[channel],
        scale_x=strip.scale_x,
        scale_y=strip.scale_y,
        text_band=pb.Box(
            left=0, top=strip.band.top, right=strip.source_width, bottom=strip.band.bottom
        ),
        source_width=strip.source_width,
        source_height=strip.source_height,
        slant=strip.slant,
        skew=strip.skew,
        view=pb.View(upright=strip.view.upright, scale=strip.view.scale),
        ink=pb.Ink(
            seen=ink.seen,
            lines=ink.lines,
            digits=ink.digits,
            unexplained=ink.unexplained,
            outside=ink.outside,
            removed=ink.removed,
            unexplained_boxes=[_box(each) for each in ink.boxes],
        ),
    )
