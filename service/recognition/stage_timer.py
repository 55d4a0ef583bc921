"""The time that each stage of a piece of work takes."""

import time


class StageTimer:
    """A stopwatch of stages, running from its creation; `seconds` maps each stage to its total."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lap = time.perf_counter()

    def took(self, stage: str) -> None:
        """Count the time since the last stage ended as this one's."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._lap
        self._lap = now
