"""Calibration: from what the readers found to the probability that a text is right.

A logistic regression over a few signs that a text is right, each with a weight of 0 or more, so
that no sign can lower the confidence (Platt 1999 has one of them, the log-odds of the text's own
probability).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from service.json_object import JsonObject, parse_json

ALONE = ("vote", "margin", "brevity")  # signs that a text is right, without the second reader
# With it. Margin, brevity and agreement won nothing beside these on held-out strips.
PAIRED = ("vote", "first", "second")
SIGNS = (*ALONE, "first", "second", "agreement")  # earlier models have weights of all of them
# Probabilities nearer to 0 and 1 weigh no more: a text that a reader did not find has 0.
LEAST, MOST = 1e-4, 1 - 1e-9


def log_odds(probability: float) -> float:
    """Return the natural logarithm of p / (1 - p), for 0 and 1 too."""
    probability = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(probability) - math.log1p(-probability)


@dataclass(frozen=True)
class Evidence:
    """What the confidence of a text is computed from; none of it is calibrated."""

    probability: float  # of the text, by the vote of all views
    runner_up: float = 0.0  # the next text's probability
    digits: int = 0  # of the text
    first: float = 0.0  # the text's probability by the first reader's views alone
    second: float | None = None  # by the second reader's; None if it was not consulted
    agreed: bool = False  # whether both read this text

    def sign(self, name: str) -> float:
        """Return one of SIGNS: the greater, the surer the text is right."""
        match name:
            case "vote":
                return log_odds(self.probability)
            case "margin":  # how many times as probable as the next text
                return _bounded(self.probability / max(self.probability + self.runner_up, 1e-12))
            case "brevity":
                return -float(self.digits)
            case "first":
                return _bounded(self.first)
            case "second":
                return _bounded(self.second or 0.0)
            case "agreement":
                return float(self.agreed)
        raise ValueError(f"{name!r} is no sign; expected one of {SIGNS}")


def _bounded(probability: float) -> float:
    return log_odds(min(max(probability, LEAST), MOST))


@dataclass(frozen=True)
class Logistic:
    """A logistic regression: weights of signs by name, none negative, and an offset."""

    weights: Mapping[str, float] = field(default_factory=lambda: {"vote": 1.0})
    offset: float = 0.0

    def log_odds(self, evidence: Evidence) -> float:
        """Return the log-odds that the text is right."""
        return self.offset + math.fsum(
            weight * evidence.sign(name) for name, weight in self.weights.items()
        )

    def then(self, scale: float, offset: float) -> "Logistic":
        """Return this regression with its log-odds scaled and shifted."""
        weights = {name: scale * weight for name, weight in self.weights.items()}
        return Logistic(weights, scale * self.offset + offset)


@dataclass(frozen=True)
class Threshold:
    """The least confidence at which so few of the accepted readings are wrong."""

    error_rate: float  # 0 to 1
    confidence: float  # 0 to 1
    # The 95% interval (Clopper and Pearson 1934) of the error rate of readings that confident, by
    # the strips that it was fitted on.
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Calibration:
    """What makes a confidence of 0.9 mean nine of ten right, on strips like those it was fitted on.

    Texts on which the second reader was consulted have a regression of their own. The log-odds of
    both are then scaled and shifted, by which a few strips of another source recalibrate them.
    """

    scale: float = 1.0
    offset: float = 0.0
    thresholds: tuple[Threshold, ...] = ()  # by falling error rate
    source: str = ""  # what it was fitted on
    alone: Logistic = field(default_factory=Logistic)
    consulted: Logistic = field(default_factory=Logistic)

    def weighs(self, sign: str) -> bool:
        """Return whether a confidence depends on one of SIGNS."""
        return any(each.weights.get(sign) for each in (self.alone, self.consulted))

    def log_odds(self, evidence: Evidence) -> float:
        """Return the log-odds that a text is right, before they are scaled and shifted."""
        return (self.alone if evidence.second is None else self.consulted).log_odds(evidence)

    def confidence(self, evidence: Evidence) -> float:
        """Return the probability, 0 to 1, that a text is right."""
        odds = self.scale * self.log_odds(evidence) + self.offset
        return 1 / (1 + math.exp(-min(max(odds, -500.0), 500.0)))

    def threshold(self, error_rate: float) -> float:
        """Return the least confidence to accept for an error rate; above 1 if there is none."""
        enough = [each.confidence for each in self.thresholds if each.error_rate <= error_rate]
        return min(enough, default=math.inf)

    def to_json(self) -> str:
        """Return the calibration as JSON."""
        thresholds = [[t.error_rate, t.confidence, t.low, t.high] for t in self.thresholds]
        regressions = {
            "alone": _to_object(self.alone),
            "consulted": _to_object(self.consulted),
        }
        return json.dumps({**vars(self), "thresholds": thresholds, **regressions})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a calibration from JSON; earlier models have a scale and an offset alone.

        Raises:
            ValueError: it is none.
        """
        found = parse_json(text)
        try:
            scale, offset = float(found["scale"]), float(found["offset"])
            if not (0 <= scale < math.inf and math.isfinite(offset)):
                raise ValueError(f"calibration has scale {scale} and offset {offset}")
            if earlier := "alone" not in found:
                alone = consulted = Logistic().then(scale, offset)
            else:
                alone, consulted = _from_object(found["alone"]), _from_object(found["consulted"])
            return cls(
                scale=1.0 if earlier else scale,
                offset=0.0 if earlier else offset,
                thresholds=tuple(Threshold(*map(float, each)) for each in found["thresholds"]),
                source=str(found["source"]),
                alone=alone,
                consulted=consulted,
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"calibration {text!r}: {error!r}") from error


def not_calibrated(digest: str) -> str:
    """Return what people are to know of a model that was never calibrated."""
    return (
        f"the model {digest[:12]} is not calibrated: its confidences are no probabilities, and it "
        "accepts nothing; `digitstrip-train calibrate` fits it to labeled scans"
    )


def _to_object(logistic: Logistic) -> JsonObject:
    return {"weights": dict(logistic.weights), "offset": logistic.offset}


def _from_object(found: JsonObject) -> Logistic:
    weights = {str(name): float(weight) for name, weight in found["weights"].items()}
    offset = float(found["offset"])
    if unknown := sorted(weights.keys() - set(SIGNS)):
        raise ValueError(f"calibration has weights of {', '.join(unknown)}; expected {SIGNS}")
    if not all(0 <= weight < math.inf for weight in weights.values()) or not math.isfinite(offset):
        raise ValueError(f"calibration has weights {weights} and offset {offset}")
    return Logistic(weights, offset)
