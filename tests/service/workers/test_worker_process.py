"""How a request gets into a worker's pipe."""

import asyncio

from service.workers.framing import pack
from service.workers.worker_process import PIECE_BYTES, WorkerProcess
from tests.conftest import in_a_loop


class FullPipe:
    """A pipe that asks to wait after every piece, as asyncio's do when they begin to copy."""

    def __init__(self, worker):
        self.worker = worker
        self.written = []
        self.closed = False

    def is_closing(self):
        return self.closed

    def write(self, piece):
        self.written.append(bytes(piece))
        self.worker.pause_writing()


@in_a_loop
async def test_of_a_request_no_more_is_copied_than_a_piece_until_the_worker_has_read_it():
    worker = WorkerProcess(owner=None)
    worker._stdin = pipe = FullPipe(worker)
    body = bytes(range(256)) * 4096 + b"end"
    worker._write({}, body)
    while sum(map(len, pipe.written)) < sum(map(len, pack({}, body))):
        pieces = len(pipe.written)
        await asyncio.sleep(0)
        assert len(pipe.written) == pieces  # nothing before the pipe has room
        worker.resume_writing()
        assert len(pipe.written) == pieces + 1
    assert b"".join(pipe.written) == b"".join(pack({}, body))
    assert max(map(len, pipe.written)) <= PIECE_BYTES


@in_a_loop
async def test_nothing_is_written_to_a_worker_that_has_closed_its_pipe():
    worker = WorkerProcess(owner=None)
    worker._stdin = pipe = FullPipe(worker)
    worker._write({}, bytes(4 * PIECE_BYTES))
    pieces, pipe.closed = len(pipe.written), True
    worker.resume_writing()
    assert len(pipe.written) == pieces
