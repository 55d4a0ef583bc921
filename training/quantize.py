"""An exported model in 8 bits: two to three times as fast, a quarter of the size."""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from service.errors import ModelError
from service.imaging.page import Gray
from service.recognition.model import Scorer
from service.recognition.normalize import normalize
from service.recognition.readers import FIRST
from training.config import StripConfig
from training.data.digits import DigitSet
from training.export import in_8_bits, stages
from training.pages.page import random_page

LEAST_AGREEMENT = 0.98  # share of positions whose most probable label stays


def quantize(model: Path, out: Path, strips: Sequence[Gray], options: str) -> float:
    """Write a model with weights and activations of 8 bits.

    Weights have a scale a channel, and seven bits: processors without VNNI add two products in 16
    bits, which eight would overflow. The first layer and the last, a hundredth of the work, remain
    in floating point. Quantization after training, by the least and greatest activation of some
    strips (Jacob et al. 2018, section 3; Krishnamoorthi 2018).

    Args:
        model: the ONNX file, in floating point.
        out: where to write; the file appears whole or not at all, and may be the same.
        strips: (height, width) uint8 each, as the network is given them. Every fifth is held out
            to measure on.
        options: of the command that made them, for the record of the last training stage.

    Returns:
        The share of the held-out strips' positions whose most probable label stays.

    Raises:
        ModelError: the model has 8 bits already, or fewer than LEAST_AGREEMENT agree.
    """
    held_out = strips[::5]
    levels = [strip for n, strip in enumerate(strips) if n % 5]
    before = Scorer(model)
    if in_8_bits(model):
        raise ModelError(f"{model} has 8 bits already; expected a model as `export` writes it")
    nodes = onnx.load(model).graph.node
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        candidate = Path(folder) / out.name
        _write(model, candidate, levels, [convolutions[0], convolutions[-1]])
        quantized = onnx.load(candidate)
        del quantized.metadata_props[:]
        learned = stages(before.metadata.training)
        learned[-1]["quantized"] = options
        metadata = replace(before.metadata, training=json.dumps({"stages": learned}))
        onnx.helper.set_model_props(quantized, metadata.to_metadata())
        onnx.save(quantized, candidate)
        same = agreement(before, Scorer(candidate), held_out)
        if same < LEAST_AGREEMENT:
            raise ModelError(
                f"{model}: in 8 bits {same:.1%} of {len(held_out)} strips' positions have the "
                f"label that they had; at least {LEAST_AGREEMENT:.0%} are expected"
            )
        candidate.replace(out)
    return same


def agreement(one: Scorer, other: Scorer, strips: Sequence[Gray]) -> float:
    """Return the share of positions at which two models find the same label most probable.

    Args:
        one: a model.
        other: another, with the same labels and positions.
        strips: (height, width) uint8 each, at least one; each is scored alone.
    """
    same = [one.score(strip).argmax(-1) == other.score(strip).argmax(-1) for strip in strips]
    return float(np.concatenate([each.ravel() for each in same]).mean())


def made_lines(digits: DigitSet, seed: int, count: int) -> list[Gray]:
    """Make pages, as people fill in fields, and return the strips of their first views.

    Args:
        digits: that they are written with.
        seed: decides everything random.
        count: of pages; kinds take turns.

    Returns:
        (32, width) uint8 each, ink bright on 0: what a network is given.
    """
    kinds = (StripConfig(), StripConfig.cells(), StripConfig.digitized())
    pages = (
        random_page(digits, np.random.default_rng([seed, n]), kinds[n % len(kinds)])
        for n in range(count)
    )
    return [normalize(page.gray).strip(FIRST).pixels for page in pages]


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is not typed
    """Strips, one by one, as `quantize_static` takes them."""

    def __init__(self, strips: Sequence[Gray], side: int) -> None:
        self._strips: Iterator[Gray] = (each for each in strips if min(each.shape) >= side)

    def get_next(self) -> dict[str, Gray] | None:
        """Return the next strip as a batch of one, or None after the last."""
        strip = next(self._strips, None)
        return None if strip is None else {"pixels": strip[None, None]}


def _write(model: Path, out: Path, strips: Sequence[Gray], excluded: Sequence[str]) -> None:
    side = Scorer(model).metadata.receptive_field
    logging.disable(logging.WARNING)  # it recommends its own preparation, which changes nothing
    try:
        quantize_static(
            model,
            out,
            _Reader(strips, side),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=list(excluded),
        )
    finally:
        logging.disable(logging.NOTSET)
