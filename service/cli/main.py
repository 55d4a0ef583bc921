"""`digitstrip`: read · serve · send · health · batch."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.batch.options import (
    DpiOption,
    Engine,
    EngineOption,
    InputsArgument,
    OutputOption,
    PartsOption,
    ProgressMode,
    ProgressOption,
    QuarantineOption,
    RayAddressOption,
    RefreshOption,
    ReportOption,
    ScoresOption,
    SecondsOption,
    ServicesOption,
    WorkersOption,
)
from service.cli.connection_options import (
    AddressesOption,
    CaOption,
    CertificateOption,
    KeyOption,
    PlaintextTokenOption,
    ServerNameOption,
    TlsOption,
    TokenFileOption,
    to_route,
)
from service.cli.output import Exit, Responses, err, mention, report, tell_version
from service.cli.recognition_options import (
    AcceptErrorsOption,
    AllowedOption,
    AlternativesOption,
    CheckOption,
    LengthOption,
    PatternOption,
    to_asked,
)
from service.errors import DigitstripError, ServerUnavailable, SettingsError

if TYPE_CHECKING:
    from service.server.app import Server

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Read strings of handwritten digits.",
)


Files = Annotated[list[str], typer.Argument(help="Images, folders, globs, or - for stdin.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
PictureOption = Annotated[
    Path | None,
    typer.Option("--picture", help="Draw the ribbon; further pages get -2, -3 … in the name."),
]
# What gRPC says where the two sides do not agree on TLS, or on whom to trust.
SIGNS_OF_TLS = ("Socket closed", "CERTIFICATE", "andshake", "Hostname Verification")
ASK_FOR_TLS = (
    "does it speak TLS, and do you? see --tls, --tls-ca, --tls-certificate, --tls-server-name"
)
ASK_FOR_ADDRESS = "is `digitstrip serve` running there? --address says where to ask"


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=tell_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Read strings of handwritten digits."""


@app.command()
def read(
    files: Files,
    as_json: Json = False,
    picture: PictureOption = None,
    length: LengthOption = None,
    pattern: PatternOption = None,
    allowed: AllowedOption = None,
    check: CheckOption = None,
    alternatives: AlternativesOption = None,
    accept_errors: AcceptErrorsOption = None,
    model: Annotated[Path | None, typer.Option(help="The ONNX file to read with.")] = None,
) -> None:
    """Read images in this process, without a server."""
    from service.api.requests import to_options
    from service.api.responses import to_response
    from service.imaging.decode import count_pages, decode
    from service.pb import recognizer_pb2 as pb
    from service.recognition.model import SHIPPED_MODEL, Scorer
    from service.recognition.recognizer import Recognizer

    asked = to_asked(length, pattern, allowed, check, alternatives, accept_errors, as_json)
    options = to_options(pb.RecognizeRequest(**asked))
    recognizer = Recognizer(Scorer(model or SHIPPED_MODEL))

    def pages(encoded: bytes) -> Responses:
        for page in range(count_pages(encoded)):
            recognition = recognizer.recognize(decode(encoded, page), options)
            yield to_response(
                recognition,
                recognizer.metadata,
                recognizer.scorer.digest,
                include_scores=picture is not None,
            )

    report(files, pages, as_json, picture)


@app.command()
def send(
    files: Files,
    as_json: Json = False,
    picture: PictureOption = None,
    length: LengthOption = None,
    pattern: PatternOption = None,
    allowed: AllowedOption = None,
    check: CheckOption = None,
    alternatives: AlternativesOption = None,
    accept_errors: AcceptErrorsOption = None,
    address: AddressesOption = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one image.")] = 60.0,
    tls: TlsOption = False,
    tls_ca: CaOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_server_name: ServerNameOption = None,
    token_file: TokenFileOption = None,
    plaintext_token: PlaintextTokenOption = False,
) -> None:
    """Read images through a server, or through several.

    Without an address, the one that DIGITSTRIP_LISTEN names is asked.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong, we tell
    from service.client.client import Client
    from service.imaging.decode import UNLIMITED, count_pages

    asked = to_asked(length, pattern, allowed, check, alternatives, accept_errors, as_json)
    route = to_route(
        address,
        tls,
        tls_ca,
        tls_certificate,
        tls_key,
        tls_server_name,
        token_file,
        plaintext_token,
    )
    # One image at a time: a refusal costs no more than a watch, which a guarded server may forbid.
    with Client(route, timeout, watch_health=False) as client:

        def pages(encoded: bytes) -> Responses:
            for page in range(count_pages(encoded, UNLIMITED)):
                yield client.recognize(encoded, page, scores=picture is not None, **asked)

        report(files, pages, as_json, picture)


@app.command()
def batch(
    inputs: InputsArgument,
    output: OutputOption,
    length: LengthOption = None,
    pattern: PatternOption = None,
    allowed: AllowedOption = None,
    check: CheckOption = None,
    alternatives: AlternativesOption = None,
    accept_errors: AcceptErrorsOption = "1%",
    scores: ScoresOption = False,
    model: Annotated[Path | None, typer.Option(help="The ONNX file to read with.")] = None,
    workers: WorkersOption = None,
    address: ServicesOption = None,
    tls: TlsOption = False,
    tls_ca: CaOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_server_name: ServerNameOption = None,
    token_file: TokenFileOption = None,
    plaintext_token: PlaintextTokenOption = False,
    engine: EngineOption = Engine.LOCAL,
    ray_address: RayAddressOption = None,
    parts: PartsOption = None,
    refresh: RefreshOption = False,
    quarantine: QuarantineOption = None,
    report: ReportOption = None,
    progress: ProgressOption = ProgressMode.AUTO,
    dpi: DpiOption = 300,
    timeout: SecondsOption = 300.0,
) -> None:
    """Read all there is into a table; interrupted, the same command goes on where it was."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong, we tell
    from service.batch.command import carry_out
    from service.batch.engines.worker import Services
    from service.batch.job import Order
    from service.pb import recognizer_pb2 as pb

    asked = to_asked(length, pattern, allowed, check, alternatives, accept_errors, as_json=True)
    order = Order(
        output=output,
        asked=pb.RecognizeRequest(**asked, include_scores=scores),
        model=model,
        workers=workers,
        services=Services(
            tuple(address),
            tls or any((tls_ca, tls_certificate, tls_key, tls_server_name)),
            tls_ca,
            tls_certificate,
            tls_key,
            tls_server_name,
            token_file,
            plaintext_token,
        )
        if address
        else None,
        ray=engine is Engine.RAY,
        ray_address=ray_address,
        parts=parts,
        refresh=refresh,
        quarantine=quarantine,
        report=report,
        dpi=dpi,
        seconds=timeout,
    )
    failed = carry_out(order, inputs, progress, err)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.ALL_READ)


@app.command()
def serve(
    listen: Annotated[
        str | None,
        typer.Option(envvar="LISTEN", help="Address and port; port 0 is a free one."),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The ONNX file to read with.")] = None,
    provider: Annotated[
        list[str] | None, typer.Option(help="onnxruntime execution provider; repeatable.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read.")] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM chain; only TLS is spoken then.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM roots of the certificates that clients must show.")
    ] = None,
    tokens_file: Annotated[
        Path | None, typer.Option(help="Bearer tokens, one a line, that calls must carry.")
    ] = None,
    metrics_listen: Annotated[
        str | None, typer.Option(help="Address and port for Prometheus.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
) -> None:
    """Serve over gRPC until SIGTERM or Ctrl-C, then finish the work in hand."""
    import asyncio

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong, we tell
    give_way()
    from service.server.app import serve as run
    from service.server.observability.logs import logging_to_stderr
    from service.server.settings import load_settings

    settings = load_settings(
        config,
        listen=listen,
        model=model,
        providers=provider or None,
        workers=workers,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        tokens_file=tokens_file,
        metrics_listen=metrics_listen,
    )
    for name, value in settings.model_dump(mode="json").items():
        mention(f"{name} = {json.dumps(value)}")

    def ready(server: "Server") -> None:
        host = settings.listen.rpartition(":")[0]
        mention(f"model {server.pool.described.digest[:12]} reads")
        typer.echo(f"serving on {host}:{server.port}")

    with logging_to_stderr(settings.log_format) as lines:
        asyncio.run(run(settings, lines, ready))
    if lines.stuck:  # nobody takes what is on stderr; Python would wait for it for ever
        os._exit(Exit.ALL_READ)
    mention("stopped")


def give_way() -> None:
    """Let readers read on when a call comes, until the next tick: switching costs them more."""
    if hasattr(os, "SCHED_BATCH"):  # Linux
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@app.command()
def health(
    address: AddressesOption = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait.")] = 3.0,
    tls: TlsOption = False,
    tls_ca: CaOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_server_name: ServerNameOption = None,
    token_file: TokenFileOption = None,
    plaintext_token: PlaintextTokenOption = False,
) -> None:
    """Ask a server whether it serves; exit 0 if it does, 1 if not.

    Without an address, the server of this environment is asked: where DIGITSTRIP_LISTEN says, and
    trusting the DIGITSTRIP_TLS_CERTIFICATE that it shows.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong, we tell
    from service.client.health_check import check, trusting_its_own

    if address and len(address) > 1:
        raise typer.BadParameter("one server is asked at a time", param_hint="--address")
    route = to_route(
        address,
        tls,
        tls_ca,
        tls_certificate,
        tls_key,
        tls_server_name,
        token_file,
        plaintext_token,
    )
    if not (address or tls or tls_ca or tls_server_name):
        route = trusting_its_own(route, timeout)
    status = check(route, timeout)
    typer.echo(status)
    raise typer.Exit(Exit.ALL_READ if status == "SERVING" else Exit.SOME_FAILED)


def main() -> None:
    """Run the command line; what Digitstrip refuses ends it with a sentence."""
    try:
        app()
    except DigitstripError as error:
        err.print(f"error: {error.reason}: {error}", style="red")
        if isinstance(error, ServerUnavailable):
            of_tls = any(sign in str(error) for sign in SIGNS_OF_TLS)
            err.print(ASK_FOR_TLS if of_tls else ASK_FOR_ADDRESS)
        wrong_use = isinstance(error, SettingsError)
        raise SystemExit(Exit.WRONG_USE if wrong_use else Exit.SOME_FAILED) from error
