"""Trained weights to `model.onnx`, and the proof that both agree."""

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch

from service.errors import ModelError
from service.recognition.model import Scorer
from service.recognition.model_metadata import PLAIN_CTC, TOUCHING, VERSION, ModelMetadata
from training.config import StageRecord
from training.networks import LABELS, NETWORKS, RECEPTIVE_FIELD, STRIDE, LeNet5, Network
from training.stages.sequences import SequenceStage
from training.stages.windows import WindowStage

AGREEMENT = 1e-4  # the most by which a log-probability may differ
LEVELS, SCALE, ZERO_POINT = "_quantized", "_scale", "_zero_point"  # of a tensor of 8 bits, by name
SIZES = [(32, 32 + extra) for extra in (0, 1, 3, 4, 5, 17, 32, 96, 333, 992)] + [(36, 64), (65, 47)]


def in_8_bits(model: Path) -> bool:
    """Return whether an ONNX file's weights are as `quantize` writes them."""
    tensors = onnx.load(model).graph.initializer
    return any(tensor.name.endswith(LEVELS) for tensor in tensors)


def export(weights: Path, model: Path) -> float:
    """Write a trained network as an ONNX file, unless the two disagree.

    Args:
        weights: a run's `best.pt`.
        model: where to write; the file appears whole or not at all.

    Returns:
        The greatest difference between torch's and onnxruntime's log-probabilities.

    Raises:
        ModelError: the weights cannot be read, or the two differ by more than 1e-4.
    """
    network, training = load(weights)
    network = network.folded().eval()
    model.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model.parent) as folder:
        candidate = Path(folder) / model.name
        to_onnx(network, training, candidate)
        difference = prove(network, candidate)
        candidate.replace(model)
    return difference


def latest(run: Path) -> Path:
    """Return the best weights of a run's last stage that has any.

    Raises:
        ModelError: no stage has.
    """
    for stage in (SequenceStage.name, WindowStage.name):
        if (run / stage / "best.pt").is_file():
            return run / stage / "best.pt"
    raise ModelError(f"{run}: expected a run's folder with a stage's best.pt, found none")


def stages(training: str) -> list[StageRecord]:
    """Return the records of the training stages, from a model's training digest."""
    record: StageRecord = json.loads(training)
    if "stages" in record:
        found: list[StageRecord] = record["stages"]
        return found
    # Before there was a second stage, a digest was the first one's.
    record["held_out_digits"] = record.pop("validation_digits", 0)
    return [{"stage": WindowStage.name, **record}]


def network_name(training: str) -> str:
    """Return the name of the network that a training digest is of."""
    return str(stages(training)[-1].get("network", LeNet5.name))


def load(weights: Path) -> tuple[Network, str]:
    """Return a run's best network, in evaluation mode on the CPU, and its record of training.

    Args:
        weights: a run's `best.pt`.

    Returns:
        The network, and the record as JSON: what `stages` reads.

    Raises:
        ModelError: the file cannot be read, is damaged, or is of an unknown network.
    """
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        training = str(state["training"])
        network = NETWORKS[network_name(training)].of(state["weights"])
    except Exception as error:  # a damaged archive raises almost anything
        raise ModelError(f"{weights}: expected a run's best.pt, found {error}") from error
    return network.eval(), training


def load_model(model: Path) -> tuple[Network, str]:
    """Return a model file's network, and its training digest, to go on training with.

    Raises:
        ModelError: the file is no Digitstrip model, or not of this network.
    """
    training = Scorer(model).metadata.training
    tensors = floating(
        {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in onnx.load(model).graph.initializer
        }
    )
    name = network_name(training)
    try:
        kind = NETWORKS[name]
        names = kind().folded().state_dict()
        network = kind.of({key: torch.from_numpy(tensors[key].copy()) for key in names})
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{model}: expected the weights of {name}, found {error}") from error
    return network.eval(), training


def floating(tensors: dict[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    """Return a model's tensors in floating point, by the names they had before `quantize`.

    Args:
        tensors: by name; those of 8 bits end in LEVELS and have a scale and a zero point, one for
            all of it or one for each entry of the first axis.

    Returns:
        (level - zero point) × scale as float32; all others as they are.
    """
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, values in tensors.items():
        if name.endswith(LEVELS):
            stem = name.removesuffix(LEVELS)
            # A bias names its scale after its levels, a weight after itself.
            owner = name if name + SCALE in tensors else stem
            shape = (-1, *[1] * (values.ndim - 1))
            zero, scale = tensors[owner + ZERO_POINT], tensors[owner + SCALE]
            found[stem] = (
                (values.astype(np.float32) - zero.astype(np.float32).reshape(shape))
                * scale.astype(np.float32).reshape(shape)
            ).astype(np.float32)
        else:
            found[name] = values
    return found


def to_onnx(network: Network, training: str, path: Path) -> None:
    """Write the network with dynamic batch, height and width, and its facts as metadata."""
    pixels = torch.zeros(2, 1, RECEPTIVE_FIELD + STRIDE, 2 * RECEPTIVE_FIELD, dtype=torch.uint8)
    free = {
        0: torch.export.Dim("batch"),
        2: torch.export.Dim("height", min=RECEPTIVE_FIELD),
        3: torch.export.Dim("width", min=RECEPTIVE_FIELD),
    }
    with _without_noise_of_torch():
        program = torch.onnx.export(
            network,
            (pixels,),
            dynamo=True,
            input_names=["pixels"],
            output_names=["log_probabilities"],
            dynamic_shapes=(free,),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    sequences = stages(training)[-1]["stage"] == SequenceStage.name
    touching = PLAIN_CTC if sequences else TOUCHING
    metadata = ModelMetadata(VERSION, LABELS, RECEPTIVE_FIELD, STRIDE, training, touching)
    onnx.helper.set_model_props(proto, metadata.to_metadata())
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


@contextmanager
def _without_noise_of_torch() -> Iterator[None]:
    """Silence what an export says of torchvision, which is not needed, and of torch itself."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # It copies its own tree specs, whose class torch itself deprecates.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        registration.setLevel(level)


def write_metadata(model: Path, metadata: ModelMetadata, out: Path) -> None:
    """Write a model file once more, with other metadata, unless the service refuses it.

    Args:
        model: the ONNX file.
        metadata: what it shall promise.
        out: where to write; the file appears whole or not at all, and may be the same.
    """
    proto = onnx.load(model)
    onnx.helper.set_model_props(proto, metadata.to_metadata())
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        candidate = Path(folder) / out.name
        onnx.save(proto, candidate)
        Scorer(candidate)
        candidate.replace(out)


def prove(network: Network, path: Path) -> float:
    """Check that an ONNX file scores strips of many sizes as the network does.

    Raises:
        ModelError: says where they differ and by how much.
    """
    scorer = Scorer(path)
    rng = np.random.default_rng(0)
    greatest = 0.0
    for batch in (1, 3):
        for height, width in SIZES:
            pixels = rng.integers(0, 256, (batch, height, width), dtype=np.uint8)
            with torch.inference_mode():
                expected = network(torch.from_numpy(pixels[:, None])).numpy()
            found = scorer.run(pixels)
            if found.shape != expected.shape:
                raise ModelError(
                    f"a batch of {batch} {height}×{width}: onnxruntime gives shape {found.shape}, "
                    f"torch {expected.shape}"
                )
            difference = float(np.abs(found - expected).max())
            if not difference <= AGREEMENT:
                raise ModelError(
                    f"a batch of {batch} {height}×{width}: onnxruntime and torch differ by "
                    f"{difference:.2e}; at most {AGREEMENT:.0e} is allowed"
                )
            greatest = max(greatest, difference)
    return greatest
