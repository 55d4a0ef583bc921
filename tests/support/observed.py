"""A server whose log and figures a test looks into."""

import json

from tests.conftest import Figures, Service, free_address


class Observed(Service):
    """A server of one reader that logs to a file as JSON and answers Prometheus.

    Args:
        log: the file.
    """

    def __init__(self, log, *arguments, **environment):
        self.log = log
        address = free_address()
        usual = {
            "DIGITSTRIP_WORKERS": "1",
            "DIGITSTRIP_METRICS_LISTEN": address,
            "DIGITSTRIP_LOG_FORMAT": "json",
        }
        self.figures = Figures(address)
        with log.open("w") as stderr:
            super().__init__(*arguments, stderr=stderr, **usual | environment)

    def logged(self, event=None):
        """The lines of log so far: all, or those of an event."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if event in (None, line["event"])]
