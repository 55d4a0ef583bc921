"""The server: build, listen, health, reflection, reload, signals, drain."""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.errors import BadForm, DigitstripError, SettingsError, WorkerDied
from service.file_watcher import Stamp, stamp
from service.held_bytes import HeldBytes
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.server.auth import Authenticator
from service.server.load_shedding import LoadShedder
from service.server.receiving import Receiver
from service.server.registered_methods import aio_server
from service.server.servicer import SERVICE, Servicer
from service.server.tls import server_credentials
from service.serving.allocator import give_back, map_large_blocks
from service.serving.backend import Backend, FrontEnd
from service.serving.forms import ServedForms
from service.serving.observability.logs import Lines
from service.serving.observability.metrics import Live, Metrics
from service.serving.observability.observer import Observer
from service.serving.observability.tracing import NoOpTracer, OpenTelemetryTracer
from service.serving.settings import Settings
from service.tokens import Tokens
from service.workers.pool import WorkerPool

FLUSH_SECONDS = 0.2  # for the last bytes to leave
WATCH_SECONDS = 2.0  # between checks of the model's file
NO_WORKER_SECONDS = 5.0  # without a worker, after which health says NOT_SERVING
IDENTITY_ONLY = 1  # of gRPC's compression algorithms
UNREAD_BYTES = 65_535  # of a message, the least window that HTTP/2 begins with
HANDSHAKE_SECONDS = 20  # timeout
PING_SECONDS = 10  # minimum between two pings of a client
KEEPALIVE_TIMEOUT_SECONDS = 20  # for the answer to a ping
GC_THRESHOLDS = (20_000, 20, 20)  # a call allocates some hundred objects, none in a cycle
SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)

logger = logging.getLogger(__name__)


class Server:
    """A gRPC server for one model.

    Args:
        settings: of the server.
        lines: the log handler, which counts lost lines.
        other: makes a further front end, or None.

    Raises:
        ModelError, SettingsError: the model cannot be read, or a setting not be honored.
    """

    def __init__(
        self,
        settings: Settings,
        lines: Lines,
        other: Callable[[Backend], FrontEnd] | None = None,
    ) -> None:
        self.settings = settings
        self.pool = WorkerPool(
            settings.worker_config,
            settings.read_models(),
            settings.pool_size,
            self._workers_changed,
        )
        held = HeldBytes(settings.max_held_bytes)
        self.receiver = Receiver(
            held,
            settings.max_slow_messages,
            settings.receive_seconds,
            self._refused,
        )
        loop = asyncio.get_running_loop()
        self.metrics = Metrics(
            Live(
                self.pool,
                held,
                lambda: self.receiver.slow_messages,
                loop.time,
                lambda: lines.lost,
            )
        )
        self.tracer = OpenTelemetryTracer() if settings.tracing else NoOpTracer()
        self.observer = Observer(self.metrics, self.tracer, settings.log_texts)
        tokens = Tokens(settings.tokens_file) if settings.tokens_file is not None else None
        self.forms = ServedForms(settings.forms, settings.limits, self.pool.describe_form)
        self.backend = Backend(
            self.pool, self.observer, held, tokens, settings.health_open, self.forms
        )
        self.health = health.aio.HealthServicer()
        self.port = 0
        self.other: FrontEnd | None = other(self.backend) if other is not None else None
        self.other_port = 0
        self._servicer = Servicer(self.backend, self.receiver, 2 * settings.workers)
        self._server = aio_server(options(settings), self._interceptors())
        self._stop_metrics: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[object]] = set()
        self._reloading = asyncio.Lock()
        self._draining = self._serving = self._reload_waits = False
        self._without_workers: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Start the workers, listen, report SERVING, and return the port.

        Raises:
            ModelError: the model cannot be used.
            BadForm: a form has a mistake.
            SettingsError: an address cannot be listened on, or a certificate not be used.
        """
        settings, server = self.settings, self._server
        server.add_registered_method_handlers(SERVICE, self._servicer.handlers())
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        if settings.reflection:
            names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        credentials = server_credentials(settings)
        try:
            self.port = (
                server.add_secure_port(settings.listen, credentials)
                if credentials
                else server.add_insecure_port(settings.listen)
            )
        except RuntimeError as error:
            raise SettingsError(
                f"cannot listen on {settings.listen}: the port is taken, or this machine has no "
                "such host:port"
            ) from error
        if settings.metrics_listen:
            self._stop_metrics = self.metrics.listen(settings.metrics_listen)
        try:
            async with self._reloading:
                self._record_model(await self.pool.start())
                await self.forms.load()
            await server.start()
            if self.other is not None:
                self.other_port = await self.other.start()
        except BaseException:
            await self.stop()
            raise
        await self._report(SERVING)
        self._serving = True
        self._run(give_back(lambda: self.backend.held.total))
        if settings.watch_model:
            files = settings.model_files
            self._run(watch(lambda: stamp(files), self.reload))
            self._run(watch(self.forms.stamp, self.reload_forms))
        return self.port

    async def stop(self) -> None:
        """Report NOT_SERVING, refuse new work, finish calls in progress within the grace period."""
        self._draining = True
        grace = self.settings.grace_seconds
        for task in self._tasks:
            task.cancel()
        self.backend.ready = False
        await self.health.enter_graceful_shutdown()
        if self._serving:
            await asyncio.sleep(self.settings.drain_delay_seconds)
        self.backend.draining.set()
        others = asyncio.create_task(self.other.stop(grace)) if self.other else None
        ended = asyncio.create_task(self._server.stop(grace))
        done = asyncio.create_task(self._servicer.work.done())
        await asyncio.wait({ended, done}, return_when=asyncio.FIRST_COMPLETED)
        done.cancel()
        # What is left are health watchers, who never hang up.
        await self._server.stop(min(FLUSH_SECONDS, grace))
        await ended
        if others is not None:
            await others
        await self.pool.close()
        self._stop_metrics()
        await asyncio.to_thread(self.tracer.close)

    def reload_soon(self) -> None:
        """Reload model and forms in the background; reloads that have not begun are one."""
        if not self._reload_waits:
            self._reload_waits = True
            self._run(self.reload())
            self._run(self.reload_forms())

    async def reload(self) -> bool:
        """Reload the model's file; a bad one changes nothing, and the log says so.

        Returns:
            Whether it could be read, be it good or bad.
        """
        read = False
        async with self._reloading:
            self._reload_waits = False
            try:
                files = self.settings.read_models()
                read = True
                described = await self._exchange(files)
            except (DigitstripError, OSError) as error:
                self.metrics.reloads.labels("failed").inc()
                logger.error(
                    "model reload failed; the old model stays", extra={"error": str(error)}
                )
            else:
                self.metrics.reloads.labels("ok").inc()
                self._record_model(described)
                logger.info(
                    "model reloaded",
                    extra={
                        "model": described.digest[:12],
                        "second_reader": described.second_reader.digest[:12],
                    },
                )
        return read

    async def _exchange(self, files: ModelFiles) -> pb.GetModelResponse:
        """Let workers start with a model, once more if one of them is killed meanwhile."""
        try:
            return await self.pool.reload(files)
        except WorkerDied:
            return await self.pool.reload(files)

    async def reload_forms(self) -> bool:
        """Reload the forms; a mistake changes nothing, and the log says so.

        Returns:
            Whether they could be read, be they good or bad.
        """
        if self.settings.forms is None:
            return True
        async with self._reloading:
            try:
                await self.forms.load()
            except (DigitstripError, OSError) as error:
                logger.error("form reload failed; the old forms stay", extra={"error": str(error)})
                return isinstance(error, BadForm)
            logger.info("forms reloaded", extra={"forms": len(self.forms.listed.forms)})
            return True

    def _interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        shedders = [
            LoadShedder(f"/{SERVICE}/{method}", self.backend)
            for method in ("Recognize", "RecognizeForm")
        ]
        if self.backend.tokens is None:
            return [*shedders, self.receiver]
        authenticator = Authenticator(
            self.backend.tokens, self.settings.health_open, self.observer.refused
        )
        return [authenticator, *shedders, self.receiver]

    def _refused(self, method: str, code: str, reason: str) -> None:
        self.observer.refused(method, code, reason)

    def _workers_changed(self, ready: int) -> None:
        """Report NOT_SERVING once there has been no worker for a while.

        A worker that died is replaced sooner than that.
        """
        if self._without_workers is not None:
            self._without_workers.cancel()
            self._without_workers = None
        if self._draining:
            return
        if ready:
            self._run(self._report(SERVING))
        else:
            self._without_workers = asyncio.get_running_loop().call_later(
                NO_WORKER_SECONDS, lambda: self._run(self._report(NOT_SERVING))
            )

    def _record_model(self, described: pb.GetModelResponse) -> None:
        self.metrics.model.info(
            {
                "digest": described.digest,
                "second_reader_digest": described.second_reader.digest,
                "version": described.version,
                "calibrated": str(bool(described.calibration.source)).lower(),
            }
        )

    def _run(self, work: Coroutine[None, None, object]) -> None:
        task: asyncio.Task[object] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        self.backend.ready = status == SERVING
        for name in ("", SERVICE):
            await self.health.set(name, status)


def options(settings: Settings) -> list[tuple[str, int]]:
    """Return gRPC's options for a server: the bounds that it lacks by default."""
    age = settings.max_connection_age_seconds
    ages = [
        ("grpc.max_connection_age_ms", milliseconds(age)),
        ("grpc.max_connection_age_grace_ms", milliseconds(settings.connection_grace_seconds)),
    ]
    return [
        ("grpc.max_receive_message_length", max_message(settings)),
        # gRPC decompresses a whole message before it checks its length, so none is accepted.
        ("grpc.compression_enabled_algorithms_bitset", IDENTITY_ONLY),
        # Of a message that is not read, as before authentication, gRPC buffers only this.
        ("grpc.http2.lookahead_bytes", UNREAD_BYTES),
        ("grpc.http2.bdp_probe", 0),  # or the window would grow with the connection's speed
        ("grpc.max_send_message_length", settings.max_response_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", milliseconds(HANDSHAKE_SECONDS)),
        ("grpc.keepalive_time_ms", milliseconds(settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", milliseconds(KEEPALIVE_TIMEOUT_SECONDS)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", milliseconds(PING_SECONDS)),
        ("grpc.so_reuseport", 0),  # a second server on a port is a mistake
        *(ages if age else []),
    ]


def milliseconds(seconds: float) -> int:
    """Return seconds in gRPC's unit."""
    return round(1000 * seconds)


def max_message(settings: Settings) -> int:
    """Return the bytes of the largest request that is within the limits."""
    return max(settings.max_bytes, settings.max_pixels) + 64 * 1024


async def serve(
    settings: Settings,
    lines: Lines,
    ready: Callable[[Server], None],
    other: Callable[[Backend], FrontEnd] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; SIGHUP reloads the model.

    Args:
        settings: of the server.
        lines: the log handler, which counts lost lines.
        ready: called once it is listening.
        other: makes a further front end, or None.
    """
    map_large_blocks()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopped.set)
    server = Server(settings, lines, other)
    loop.add_signal_handler(signal.SIGHUP, server.reload_soon)
    starting = asyncio.create_task(server.start())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # a worker may take a minute to start, or not to
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return
    await starting
    gc.freeze()  # what lives as long as the process need not be traversed again
    gc.set_threshold(*GC_THRESHOLDS)
    ready(server)
    await stopping
    await server.stop()


async def watch(look: Callable[[], Stamp], reload: Callable[[], Awaitable[bool]]) -> None:
    """Reload whenever files have changed, until cancelled; what could not be read is read again.

    Args:
        look: returns the files' stamp.
        reload: reads them, and returns whether that worked.
    """
    known = look()
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if (seen := look()) != known:
            await asyncio.sleep(WATCH_SECONDS)  # until it is written to its end
            if look() == seen and await reload():
                known = seen
