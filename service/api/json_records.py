"""Answers in protobuf to the command line's words and JSON records."""

from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb


def to_record(source: str, page: int, response: pb.RecognizeResponse) -> JsonObject:
    """Return the JSON object that `read --json` and `send --json` print for a page.

    Args:
        source: its name.
        page: from 0, as in the schema; people count from 1, and so does the record.
        response: for it.
    """
    return {
        "source": source,
        "page": page + 1,
        "text": response.text,
        "confidence": round(response.confidence, 6),
        "decision": decision_word(response),
        "reasons": reason_words(response),
        "exact": response.exact,
        "readers": [
            {"reader": each.reader, "text": each.text, "confidence": round(each.confidence, 6)}
            for each in response.readers
        ],
        # No object: in JavaScript, keys that are numbers are sorted.
        "alternatives": [
            {"text": other.text, "confidence": round(other.confidence, 6)}
            for other in response.alternatives
        ],
        "constraint": _constraint_record(response),
        "digits": [_digit_record(digit) for digit in response.digits],
        "normalization": _normalization_record(response.normalization),
    }


def decision_word(response: pb.RecognizeResponse | pb.FieldReading) -> str | None:
    """Return ACCEPT or REVIEW, or None where no decision was asked for."""
    if not response.decision:
        return None
    return str(pb.Decision.Name(response.decision)).removeprefix("DECISION_")


def reason_words(response: pb.RecognizeResponse | pb.FieldReading) -> list[str]:
    """Return why a text is to be reviewed, such as LOW_CONFIDENCE, the gravest reason first."""
    names = map(pb.ReviewReason.Name, response.review_reasons)
    return [str(name).removeprefix("REVIEW_REASON_") for name in names]


def outcome_word(response: pb.RecognizeResponse) -> str | None:
    """Return FREE, CHANGED, IMPOSSIBLE or UNSEARCHED, or None without a constraint."""
    if not response.constraint_outcome:
        return None
    name = str(pb.ConstraintOutcome.Name(response.constraint_outcome))
    return name.removeprefix("CONSTRAINT_OUTCOME_")


def _constraint_record(response: pb.RecognizeResponse) -> JsonObject | None:
    outcome = outcome_word(response)
    if outcome is None:
        return None
    return {"outcome": outcome, "allowed_probability": round(response.allowed_probability, 6)}


def _digit_record(digit: pb.Digit) -> JsonObject:
    return {
        "label": digit.label,
        "confidence": round(digit.confidence, 6),
        "extent": _edges(digit.extent),
        "runners_up": {other.label: round(other.confidence, 6) for other in digit.runners_up},
    }


def _edges(box: pb.Box) -> list[float]:
    return [round(edge, 2) for edge in (box.left, box.top, box.right, box.bottom)]


def _normalization_record(done: pb.Normalization) -> JsonObject:
    return {
        "polarity": pb.Polarity.Name(done.polarity).removeprefix("POLARITY_"),
        "scale": [round(done.scale_x, 6), round(done.scale_y, 6)],
        "channel": pb.Channel.Name(done.channel).removeprefix("CHANNEL_"),
        "text_band": [round(done.text_band.top, 2), round(done.text_band.bottom, 2)],
        "slant": round(done.slant, 6),
        "skew": round(done.skew, 6),
        "view": {"upright": done.view.upright, "scale": done.view.scale},
        "ink": {
            "seen": done.ink.seen,
            "lines": done.ink.lines,
            **{
                share: round(getattr(done.ink, share), 4)
                for share in ("digits", "unexplained", "outside", "removed")
            },
            "unexplained_boxes": [_edges(box) for box in done.ink.unexplained_boxes],
        },
    }
