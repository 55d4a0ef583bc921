"""Peak memory under what once filled it: `python -m tests.trouble.peaks --memory 1024`.

Each attack has a server, or a batch, of its own in a control group; `--checkout` attacks another
version of the code, with the same Python.
"""

import argparse
import asyncio
import io
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import closing, suppress
from functools import cache, partial
from pathlib import Path

import grpc

from service.pb import recognizer_pb2 as pb
from tests.conftest import ROOT, STRIPS, Service
from tests.fuzz.damage import chunk
from tests.support.http2 import Connection
from tests.support.memory_group import MemoryGroup
from tests.trouble.kinds import MIB, OPTIONS, RECOGNIZE, STREAM, unsupported

SECONDS = 120.0  # that an attack may take
TOKEN = "a-token-that-nobody-shows"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, default=1024, help="MiB of the control group")
    parser.add_argument("--checkout", type=Path, default=ROOT)
    parser.add_argument("--attacks", nargs="*", choices=list(ATTACKS), default=list(ATTACKS))
    args = parser.parse_args()
    print(f"{'attack':22}{'peak MiB':>10}{'killed':>8}")
    for name in args.attacks:
        with MemoryGroup(args.memory * MIB) as group:
            try:
                ATTACKS[name](partial(at, args.checkout.resolve(), group))
            finally:
                group.kill()
            print(f"{name:22}{(group.peak or 0) >> 20:>10}{group.killed:>8}", flush=True)


def at(checkout, group, *command):
    """The command that runs another one in the group, on a version of the code."""
    return group.command("env", "-C", checkout, f"PYTHONPATH={checkout}", *command)


def refused_images(prefix):
    """Forty images of 30 MiB in a format that is refused, one after the other."""
    attack(prefix, lambda address: each(address, [unsupported()] * 40))


def compressed(prefix):
    """Sixty messages on one connection, without a token, of 64 MB that gzip makes 64 kB."""

    async def calls(address):
        async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
            method = channel.unary_unary(RECOGNIZE)
            message = bytes(64 * 10**6)
            made = (
                method(message, compression=grpc.Compression.Gzip, timeout=60) for _ in range(60)
            )
            await asyncio.gather(*made, return_exceptions=True)

    with tempfile.NamedTemporaryFile("w") as tokens:
        tokens.write(TOKEN)
        tokens.flush()
        attack(prefix, calls, DIGITSTRIP_TOKENS_FILE=tokens.name)


def half_sent(prefix):
    """Twelve messages that stop a little before their end, for ten seconds, without a token."""

    def send(address):
        with closing(Connection(address)) as connection:
            connection.listen(1)
            connection.open(RECOGNIZE)
            connection.send(bytes(60 * MIB), declared=62 * MIB, seconds=10)
            connection.until_ended(10)

    async def all_at_once(address):
        sent = (asyncio.to_thread(send, address) for _ in range(12))
        await asyncio.gather(*sent, return_exceptions=True)

    with tempfile.NamedTemporaryFile("w") as tokens:
        tokens.write(TOKEN)
        tokens.flush()
        attack(prefix, all_at_once, DIGITSTRIP_TOKENS_FILE=tokens.name)


def eight_streams(prefix):
    """Eight streams of five valid images of 30 MiB each."""
    image = pb.RecognizeRequest(image=pb.Image(encoded=large_image(b"\x5a" * 30 * MIB)))
    message = pb.RecognizeStreamRequest(id="1", request=image).SerializeToString()

    async def stream(address):
        options = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options) as channel:
            call = channel.stream_stream(STREAM)(iter([message] * 5), timeout=SECONDS)
            async for _ in call:
                pass

    async def all_at_once(address):
        await asyncio.gather(*(stream(address) for _ in range(8)), return_exceptions=True)

    attack(prefix, all_at_once)


def batch_of_tar(prefix):
    """A tar.gz of 3 MB with a hundred images of 30 MiB."""
    image, packed = large_image(bytes(30 * MIB)), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number in range(100):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(image)
            archive.addfile(info, io.BytesIO(image))
    batch(prefix, "images.tar.gz", packed.getvalue())


def batch_of_zip(prefix):
    """A zip of 4 MB with 130 documents of 30 MiB that are none."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(130):
            archive.writestr(f"{number}.pdf", bytes(30 * MIB))
    batch(prefix, "documents.zip", packed.getvalue())


ATTACKS = {
    each.__name__.replace("_", "-"): each
    for each in (refused_images, compressed, half_sent, eight_streams, batch_of_tar, batch_of_zip)
}


@cache
def large_image(content):
    """A strip, and a chunk that nobody knows."""
    strip, end = (STRIPS / "postcode-ruled.png").read_bytes(), chunk(b"IEND", b"")
    return strip.removesuffix(end) + chunk(b"prVt", content) + end


def attack(prefix, calls, **environment):
    """Attack a server with two workers, until all is answered or the server is no more."""
    environment |= {"DIGITSTRIP_WORKERS": "2", "DIGITSTRIP_LOG_FORMAT": "none"}
    server = Service(prefix=prefix, stderr=subprocess.DEVNULL, **environment)
    try:
        asyncio.run(asyncio.wait_for(calls(server.address), SECONDS))
    except TimeoutError:
        print(f"not over after {SECONDS:.0f} s")
    finally:
        with suppress(subprocess.TimeoutExpired):
            server.stop(signal.SIGTERM)


async def each(address, messages):
    """Make calls one after the other, until the server is no more."""
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        for message in messages:
            try:
                await channel.unary_unary(RECOGNIZE)(message, timeout=60)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return


def batch(prefix, name, content):
    """Read an archive with one worker."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        command = [sys.executable, "-m", "service.cli", "batch", path, "-o", f"{folder}/out.jsonl"]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                prefix(*command, "--workers", "1"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
            )


if __name__ == "__main__":
    main()
