"""The plan of a run and the places of its items: what worker processes receive."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from service.imaging.limits import Limits
from service.inputs.documents import DPI
from service.inputs.items import Item

if TYPE_CHECKING:
    from service.client.client import Client

CALL_ATTEMPTS = 12  # of a call to services that do not answer: most of a minute


@dataclass(frozen=True)
class Services:
    """Addresses of running services and how to reach them; small enough to send to workers."""

    addresses: tuple[str, ...]
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_server_name: str | None = None
    token_file: Path | None = None
    plaintext_token: bool = False

    def client(self, seconds: float) -> "Client":
        """Return a client that spreads its calls over the services.

        Args:
            seconds: timeout of a call. It is retried for as long while services are overloaded or
                restart.
        """
        from service.client.channel import Route, Tls, Token
        from service.client.client import Client
        from service.client.retry import Backoff

        trust = Tls(self.tls_ca, self.tls_certificate, self.tls_key, self.tls_server_name)
        token = Token(file=self.token_file) if self.token_file else None
        route = Route(self.addresses, trust if self.tls else None, token, self.plaintext_token)
        return Client(route, seconds, backoff=Backoff(tries=CALL_ATTEMPTS), watch_health=False)


@dataclass(frozen=True)
class Plan:
    """How a run reads; every worker has a copy."""

    digest: str  # of the model
    second_digest: str  # of the second reader's model; empty if there is none
    version: str  # of the software that reads
    calibrated: bool = True  # whether the model is
    model: Path | None = None  # file to read with in this process; None is the shipped one
    second_reader: str | None = None  # beside it: a file, `none`, or None for the default
    services: Services | None = None  # that read instead
    request: bytes = b""  # a serialized pb.RecognizeRequest without an image, for every item
    form: bytes = b""  # a serialized pb.Form that every page is; empty: one line of digits
    other_forms: tuple[bytes, ...] = ()  # that a page may be as well
    dpi: int = DPI  # of a PDF's pages
    seconds: float = 300.0  # timeout of one item
    concurrency: int = 1  # items that one worker reads at a time
    limits: Limits = field(default_factory=Limits)


class Place(NamedTuple):
    """An item's number in the run, and the first of its pages to read, both from 0."""

    number: int
    page: int
    item: Item
