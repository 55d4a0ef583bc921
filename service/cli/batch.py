"""`digitstrip batch`: many inputs into one table."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from service.batch.options import (
    ColumnsOption,
    DpiOption,
    Engine,
    EngineOption,
    FormOption,
    InputsArgument,
    OutputOption,
    ProgressMode,
    ProgressOption,
    QuarantineOption,
    RayAddressOption,
    RefreshOption,
    ReportOption,
    ScoresOption,
    SecondsOption,
    ServicesOption,
    ShardsOption,
    SpreadsheetOption,
    WideOption,
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
from service.cli.limit_options import (
    MaxBytesOption,
    MaxDecodingBytesOption,
    MaxPagesOption,
    MaxPixelsOption,
    MaxWidthOption,
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
    SecondReaderOption,
    to_recognize_options,
)
from service.imaging.limits import Limits

if TYPE_CHECKING:
    from service.batch.job import FormJob


def batch(
    inputs: InputsArgument,
    output: OutputOption,
    form: FormOption = None,
    wide: WideOption = False,
    length: LengthOption = None,
    pattern: PatternOption = None,
    allowed: AllowedOption = None,
    check: CheckOption = None,
    alternatives: AlternativesOption = None,
    accept_errors: AcceptErrorsOption = "1%",
    columns: ColumnsOption = None,
    spreadsheet: SpreadsheetOption = False,
    scores: ScoresOption = False,
    model: ModelOption = None,
    second_reader: SecondReaderOption = None,
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
    shards: ShardsOption = None,
    refresh: RefreshOption = False,
    quarantine: QuarantineOption = None,
    report: ReportOption = None,
    progress: ProgressOption = ProgressMode.AUTO,
    dpi: DpiOption = 300,
    timeout: SecondsOption = 300.0,
    max_bytes: MaxBytesOption = Limits.max_bytes,
    max_pixels: MaxPixelsOption = Limits.max_pixels,
    max_width: MaxWidthOption = Limits.max_width,
    max_pages: MaxPagesOption = Limits.max_pages,
    max_decoding_bytes: MaxDecodingBytesOption = Limits.max_decoding_bytes,
) -> None:
    """Read many images into a table; after an interruption the same command resumes."""
    silence_grpc()
    from service.api.options import to_fields
    from service.batch.command import carry_out
    from service.batch.job import Job
    from service.batch.outputs.layouts import layout_of
    from service.batch.outputs.writers import csv_format
    from service.batch.plan import Services

    options = to_recognize_options(
        length, pattern, allowed, check, alternatives, accept_errors, as_json=True
    )
    request = to_fields(**options)
    request.include_scores = scores
    limits = Limits(max_bytes, max_pixels, max_width, max_pages, max_decoding_bytes)
    form_job = None
    if form:
        if (length, pattern, allowed, check) != (None,) * 4:
            raise typer.BadParameter(
                "what a field must satisfy stands in the template", param_hint="--form"
            )
        form_job = to_form_job(form, limits, wide)
    elif wide:
        raise typer.BadParameter("a row a page is for forms; give --form", param_hint="--wide")
    layout = layout_of(form_job)
    job = Job(
        output=output,
        request=request,
        model=model,
        second_reader=second_reader,
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
        shards=shards,
        refresh=refresh,
        quarantine=quarantine,
        report=report,
        dpi=dpi,
        limits=limits,
        seconds=timeout,
        csv=csv_format(columns, spreadsheet, layout) if columns or spreadsheet else None,
        form=form_job,
    )
    failed = carry_out(job, inputs, progress, err)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.ALL_READ)


def to_form_job(paths: list[Path], limits: Limits, wide: bool) -> "FormJob":
    """Read the files of a form, or of several, for a run.

    Raises:
        BadForm: a sentence for every mistake.
    """
    from service.batch.job import FormJob
    from service.forms.service import Forms

    forms = Forms(limits)
    messages = forms.load_all(paths)
    names = tuple(each.name for each in forms.get(messages[0]).fields)
    return FormJob(messages[0], names, wide, tuple(messages[1:]))
