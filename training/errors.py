"""What training refuses; libraries' exceptions are wrapped in it."""

from service.errors import DigitstripError


class DatasetError(DigitstripError):
    """A data file is missing, damaged, or not the one that was asked for."""

    reason = "BAD_DATASET"
