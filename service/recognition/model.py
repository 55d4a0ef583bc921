"""The onnxruntime session: strips to score maps, wide ones in tiles of constant memory."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from service.errors import InputError, ModelError, SettingsError
from service.imaging.files import open_regular
from service.recognition.model_metadata import ModelMetadata

SHIPPED_MODEL = Path(__file__).resolve().parents[1] / "model.onnx"
SHIPPED_SECOND_READER = SHIPPED_MODEL.with_name("second_reader.onnx")
NO_SECOND_READER = "none"
CPU = ("CPUExecutionProvider",)

Scores = npt.NDArray[np.float32]  # (..., labels), log-probabilities


class Scorer:
    """A loaded model; safe to use from several threads at once.

    Args:
        model: an ONNX file that `digitstrip-train export` wrote: its path, or its bytes.
        threads: that one run may use.
        providers: onnxruntime execution providers, the preferred one first.
        tile_positions: the most positions scored in one run of the network.
        name: what errors call a model that is given as bytes.

    Raises:
        ModelError: the file is missing, damaged, not Digitstrip's, or does not do what its
            metadata promises.
        SettingsError: an execution provider is not available here.
    """

    def __init__(
        self,
        model: Path | bytes = SHIPPED_MODEL,
        threads: int = 1,
        providers: Sequence[str] = CPU,
        tile_positions: int = 1024,
        name: str = "the model",
    ) -> None:
        # onnxruntime reads this once, while it loads; people send us cheques.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        missing = [name for name in providers if name not in onnxruntime.get_available_providers()]
        if missing:
            raise SettingsError(
                f"execution provider {', '.join(missing)} is not available; "
                f"this onnxruntime has {', '.join(onnxruntime.get_available_providers())}"
            )
        content = read_model(model) if isinstance(model, Path) else model
        name = str(model) if isinstance(model, Path) else name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it refuses is raised, and reported by the service
        options.enable_mem_pattern = False  # widths differ from run to run
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=providers)
            metadata = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise ModelError(f"{name} is damaged or not an ONNX model: {error}") from error
        unused = [name for name in providers if name not in self._session.get_providers()]
        if unused:  # onnxruntime falls back to the CPU without a word
            raise SettingsError(
                f"execution provider {', '.join(unused)} could not be started; "
                f"onnxruntime would use {', '.join(self._session.get_providers())}"
            )
        # With them, a run gives back the memory that onnxruntime keeps for the next one.
        self._giving_back = onnxruntime.RunOptions()
        if tuple(providers) == CPU:
            entry = "memory.enable_memory_arena_shrinkage"
            self._giving_back.add_run_config_entry(entry, "cpu:0")
        self.metadata = ModelMetadata.from_metadata(metadata)
        self.digest = digest_of(content)
        self.tile_positions = tile_positions
        self._prove(name)

    def score(self, strip: npt.NDArray[np.uint8]) -> Scores:
        """Score every position of a strip of any width.

        Args:
            strip: (height, width) uint8, ink bright on 0; narrower or lower than one window
                is padded with 0.

        Returns:
            (rows, positions, labels) float32 log-probabilities. Tiles do not overlap: a network
            whose positions look at their neighbors needs `tile_positions` enough for the strip.
        """
        strip = self._at_least_a_window(strip)
        positions = self.metadata.positions(strip.shape[1])
        shape = self.metadata.positions(strip.shape[0]), positions, len(self.metadata.labels)
        scores = np.empty(shape, np.float32)
        for first in range(0, positions, self.tile_positions):
            count = min(self.tile_positions, positions - first)
            left = first * self.metadata.stride
            width = (count - 1) * self.metadata.stride + self.metadata.receptive_field
            # Of a wide strip, what is kept would lie beside all that comes after.
            give_back = 0 < first == positions - count
            tile = self.run(strip[None, :, left : left + width], give_back)[0]
            scores[:, first : first + count] = tile
        return scores

    def run(self, pixels: npt.NDArray[np.uint8], give_back: bool = False) -> Scores:
        """Run the network once.

        Args:
            pixels: (batch, height, width) uint8, at least one window high and wide.
            give_back: whether the memory for it is not kept for the next run.

        Returns:
            (batch, rows, positions, labels) float32 log-probabilities.
        """
        inputs = {"pixels": np.ascontiguousarray(pixels)[:, None]}
        (scores,) = self._session.run(None, inputs, self._giving_back if give_back else None)
        return np.asarray(scores, np.float32)

    def _at_least_a_window(self, strip: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        side = self.metadata.receptive_field
        below, right = (max(side - size, 0) for size in strip.shape)
        return np.pad(strip, ((0, below), (0, right))) if below or right else strip

    def _prove(self, name: str) -> None:
        """Check that one window has one position and one window plus a stride has two."""
        side, labels = self.metadata.receptive_field, len(self.metadata.labels)
        for positions in (1, 2):
            width = side + (positions - 1) * self.metadata.stride
            expected = (1, 1, positions, labels)
            try:
                found = self.run(np.zeros((1, side, width), np.uint8)).shape
            except Exception as error:
                raise ModelError(
                    f"{name} cannot score a strip of {side}×{width} pixels: {error}"
                ) from error
            if found != expected:
                raise ModelError(
                    f"{name} scores a strip of {side}×{width} pixels as shape {found}; "
                    f"its metadata promises {expected}"
                )


@dataclass(frozen=True)
class ModelFiles:
    """The bytes of the ONNX files to read with."""

    first: bytes
    second: bytes | None = None  # None reads without a second reader

    @classmethod
    def read(cls, model: Path | None = None, second_reader: str | None = None) -> Self:
        """Read both files.

        Args:
            model: the first reader's file; None is the shipped one.
            second_reader: the second reader's file, or `none`; None is the shipped one beside the
                shipped model, and no second reader beside another.

        Raises:
            ModelError: a file cannot be read, or the shipped second reader is missing.
        """
        second = second_reader_file(model, second_reader)
        return cls(
            read_model(model or SHIPPED_MODEL), read_model(second) if second is not None else None
        )

    @property
    def digests(self) -> tuple[str, str]:
        """SHA-256 of both files, in hexadecimal; empty where there is no second one."""
        return digest_of(self.first), digest_of(self.second) if self.second is not None else ""


def second_reader_file(model: Path | None, second_reader: str | None) -> Path | None:
    """Return the second reader's file of a choice of both, as of `ModelFiles.read`.

    Raises:
        ModelError: it is the shipped one, which is not where it was installed.
    """
    if second_reader == NO_SECOND_READER:
        return None
    if second_reader is not None:
        return Path(second_reader)
    if model is not None and model.resolve() != SHIPPED_MODEL:
        return None
    if not SHIPPED_SECOND_READER.is_file():
        raise ModelError(
            f"the second reader {SHIPPED_SECOND_READER} is missing beside the shipped model; "
            f"install Digitstrip again, or read with one network by --second-reader "
            f"{NO_SECOND_READER}"
        )
    return SHIPPED_SECOND_READER


def digest_of(content: bytes) -> str:
    """Return a model file's SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_model(path: Path) -> bytes:
    """Return a model file's bytes.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with open_regular(path) as file:  # a FIFO would hold up the server
            return file.read()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    except InputError as error:
        raise ModelError(f"cannot read the model {path}: {error}") from error
