"""`digitstrip batch`: many inputs into one table."""

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
    CaOption,
    CertificateOption,
    KeyOption,
    PlaintextTokenOption,
    ServerNameOption,
    TlsOption,
    TokenFileOption,
    silence_grpc,
)
from service.cli.output import Exit, err
from service.cli.recognition_options import (
    AcceptErrorsOption,
    AllowedOption,
    AlternativesOption,
    CheckOption,
    LengthOption,
    ModelOption,
    PatternOption,
    to_recognize_options,
)


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
    model: ModelOption = None,
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
    silence_grpc()
    from service.api.options import to_fields
    from service.batch.command import carry_out
    from service.batch.engines.worker import Services
    from service.batch.job import Order

    options = to_recognize_options(
        length, pattern, allowed, check, alternatives, accept_errors, as_json=True
    )
    asked = to_fields(**options)
    asked.include_scores = scores
    order = Order(
        output=output,
        asked=asked,
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
