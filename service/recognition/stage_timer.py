"""How long each stage of a piece of work took."""

import time


class Stopwatch:
    """Starts when it is made; `seconds` maps each stage that was named to what it took in all."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lap = time.perf_counter()

    def took(self, stage: str) -> None:
        """Count the time since the last stage ended as this one's."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._lap
        self._lap = now
