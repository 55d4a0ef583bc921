"""One call, as logs, metrics and spans see it."""

from dataclasses import dataclass

REQUEST_ID = "x-request-id"  # metadata or a header, both ways
# A caller left, or gRPC refused the message, as too large or compressed: it does not say which.
NOT_RECEIVED_CODE, NOT_RECEIVED = "CANCELLED", "NOT_RECEIVED"
UNKNOWN = "UNKNOWN"  # a call's code until it is known; gRPC's for an internal fault


@dataclass
class Call:
    """One call, from its first byte to its status."""

    method: str
    id: str
    parent: str | None  # W3C traceparent
    code: str = UNKNOWN
    images: int = 0
