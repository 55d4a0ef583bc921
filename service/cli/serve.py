"""`digitstrip serve`: the server of gRPC, and of HTTP beside it."""

import json
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.connection_options import VARIABLES, silence_grpc
from service.cli.output import Exit, announce, notify
from service.cli.recognition_options import ModelOption, SecondReaderOption
from service.extras import needs

if TYPE_CHECKING:
    from service.server.app import Server


def serve(
    listen: Annotated[
        str | None,
        typer.Option(envvar="LISTEN", help="Address and port; port 0 is a free one."),
    ] = None,
    model: ModelOption = None,
    second_reader: SecondReaderOption = None,
    provider: Annotated[
        list[str] | None, typer.Option(help="onnxruntime execution provider; repeatable.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="The number of worker processes.")] = None,
    forms: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Forms' templates, *.toml, that calls may name by their file."
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM chain; the server then speaks TLS only.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(help="PEM roots; clients must show a certificate that they issued."),
    ] = None,
    tokens_file: Annotated[
        Path | None, typer.Option(help="Bearer tokens, one a line; calls must carry one of them.")
    ] = None,
    web_listen: Annotated[
        str | None,
        typer.Option(help="Address and port for HTTP and a page in the browser; off by default."),
    ] = None,
    metrics_listen: Annotated[
        str | None, typer.Option(help="Address and port for Prometheus.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
) -> None:
    """Serve over gRPC, and HTTP if asked, until SIGTERM or Ctrl-C; finish what is in flight."""
    import asyncio

    silence_grpc()
    yield_to_workers()
    from service.recognition.calibration import not_calibrated
    from service.server.app import serve as run
    from service.serving.observability.logs import logging_to_stderr
    from service.serving.settings import check_variables, load_settings

    check_variables(os.environ, VARIABLES)
    settings = load_settings(
        config,
        listen=listen,
        model=model,
        second_reader=second_reader,
        providers=provider or None,
        workers=workers,
        forms=forms,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        tokens_file=tokens_file,
        web_listen=web_listen,
        metrics_listen=metrics_listen,
    )
    # What somebody set; docs/configuration.md lists the defaults of all else.
    for name, value in settings.model_dump(mode="json", exclude_unset=True).items():
        notify(f"{name} = {json.dumps(value)}")

    web = None
    if settings.web_listen:
        with needs("web", "--web-listen needs Starlette and uvicorn"):
            from service.web.front_end import web_front_end
        web = partial(web_front_end, settings)

    def ready(server: "Server") -> None:
        host = settings.listen.rpartition(":")[0]
        described = server.pool.described
        second = described.second_reader.digest[:12]
        notify(f"model {described.digest[:12]} reads, with second reader {second or 'none'}")
        if not described.calibration.source:
            notify(not_calibrated(described.digest))
        if settings.web_listen:
            scheme = "https" if settings.tls_certificate else "http"
            web_host = settings.web_listen.rpartition(":")[0]
            announce(f"serving {scheme}://{web_host}:{server.other_port}/")
        announce(f"serving on {host}:{server.port}")

    with logging_to_stderr(settings.log_format) as lines:
        asyncio.run(run(settings, lines, ready, web))
    if lines.stuck:  # nobody reads stderr; Python would wait for it forever
        os._exit(Exit.ALL_READ)
    notify("stopped")


def yield_to_workers() -> None:
    """Lower this process's scheduling class, so that a call does not preempt a worker."""
    if hasattr(os, "SCHED_BATCH"):  # Linux
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
