"""How much each strip counts: those of a review are no even sample of the batch they are from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.data.scans import Scan
from training.errors import DatasetError

WHY_NOT = "thresholds fitted on such a sample alone would not hold for the batch"


def effective(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scale weights so that they sum to the number of evenly drawn strips that tell as much.

    That is (Σw)² / Σw² (Kish 1965): equal weights become 1, and 200 strips of which ten stand for
    nearly all count as about ten.

    Args:
        weights: (strips,) strips that each stands for, above 0.
    """
    evenly = float(weights.sum()) / float(np.square(weights).sum())
    return weights * evenly


def check_sample(folder: Path, scans: Sequence[Scan]) -> None:
    """Check that a folder's labels stand for all that they were taken from.

    Raises:
        DatasetError: they are of a review that looked at unsure rows alone, or is not finished.
    """
    reviewed = [scan for scan in scans if scan.why]
    if not any(scan.weight is None for scan in reviewed):
        return
    if all(scan.why == "review" for scan in reviewed):
        raise DatasetError(
            f"{folder}: all {len(reviewed):,} labels are of rows that were to review, the least "
            f"sure of their batch, and none of those that were accepted; {WHY_NOT}. Draw some of "
            "these, too: `digitstrip review --sample 200`"
        )
    raise DatasetError(
        f"{folder}: the review is not finished: some rows to review or of its sample are still "
        f"open; {WHY_NOT}. Finish it, and export the labels again"
    )
