"""The server: build, health, reflection, signals, drain."""

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.errors import SettingsError
from service.pb import recognizer_pb2
from service.pb.recognizer_pb2_grpc import add_RecognizerServiceServicer_to_server
from service.recognizer import Recognizer
from service.scorer import Scorer
from service.servicer import Servicer
from service.settings import Settings

SERVICE = recognizer_pb2.DESCRIPTOR.services_by_name["RecognizerService"].full_name
FLUSH_SECONDS = 0.2  # for the last bytes to leave


class Server:
    """A gRPC server for one model.

    Args:
        settings: what it is told.

    Raises:
        ModelError, SettingsError: the start fails, with a sentence.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.scorer = Scorer(
            settings.model, settings.threads_per_image, settings.providers, settings.tile_positions
        )
        cv2.setNumThreads(1)  # images are read side by side instead
        self.executor = ThreadPoolExecutor(settings.threads, "reader")
        self.health = health.aio.HealthServicer()
        self.port = 0
        self._server: grpc.aio.Server | None = None
        self._servicer: Servicer | None = None

    async def start(self) -> int:
        """Listen, report SERVING, and return the port.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        settings = self.settings
        server = grpc.aio.server(
            options=[
                # Images somewhat over the limit still get our own sentence; far over, gRPC's.
                ("grpc.max_receive_message_length", 2 * max_message(settings)),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # a second server on a port is a mistake
            ]
        )
        servicer = Servicer(
            Recognizer(self.scorer), settings.limits, self.executor, 2 * settings.threads
        )
        add_RecognizerServiceServicer_to_server(servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        if settings.reflection:
            names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        try:
            self.port = server.add_insecure_port(settings.listen)
        except RuntimeError as error:
            raise SettingsError(
                f"cannot listen on {settings.listen}: the port is taken, or this machine has no "
                "such host:port"
            ) from error
        await server.start()
        self._server, self._servicer = server, servicer
        await self._report(health_pb2.HealthCheckResponse.SERVING)
        return self.port

    async def stop(self) -> None:
        """Report NOT_SERVING, refuse new work, finish the work in hand within the grace period."""
        await self.health.enter_graceful_shutdown()
        if self._server is not None and self._servicer is not None:
            self._servicer.draining.set()
            ended = asyncio.create_task(self._server.stop(self.settings.grace_seconds))
            done = asyncio.create_task(self._servicer.work.done())
            await asyncio.wait({ended, done}, return_when=asyncio.FIRST_COMPLETED)
            done.cancel()
            # What is left are health watchers, who never hang up.
            await self._server.stop(min(FLUSH_SECONDS, self.settings.grace_seconds))
            await ended
        self.executor.shutdown(wait=False, cancel_futures=True)

    async def _report(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", SERVICE):
            await self.health.set(name, status)


def max_message(settings: Settings) -> int:
    """Return the bytes of the largest request that is within the limits."""
    return max(settings.max_bytes, settings.max_pixels) + 64 * 1024


async def serve(settings: Settings, ready: Callable[[Server], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: what the server is told.
        ready: called once it is listening.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopped.set)
    server = Server(settings)
    await server.start()
    ready(server)
    await stopped.wait()
    await server.stop()
