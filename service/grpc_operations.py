"""Operations of grpc.aio that nobody may wait for any more."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def to_its_end(operation: Awaitable[Result]) -> Result:
    """Await an operation of grpc.aio, which goes on to its end even if this is cancelled.

    What gRPC received, or was to send, is freed by who awaits it: where nobody does any more, it
    stays for good (in grpcio 1.85.1), as of each caller who leaves as a message is becoming whole.
    """
    going = asyncio.ensure_future(operation)
    going.add_done_callback(_seen)
    return await asyncio.shield(going)


def _seen(operation: asyncio.Future[Any]) -> None:
    """Take an error as seen, or asyncio would log those of calls that have ended."""
    if not operation.cancelled():
        operation.exception()
