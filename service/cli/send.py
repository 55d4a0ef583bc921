"""`digitstrip send`: images through running servers."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.batch.options import DpiOption
from service.cli.connection_options import (
    AddressesOption,
    CaOption,
    CertificateOption,
    KeyOption,
    PlaintextTokenOption,
    ServerNameOption,
    TlsOption,
    TokenFileOption,
    silence_grpc,
    to_route,
)
from service.cli.output import (
    Drawing,
    FilesArgument,
    JsonOption,
    PictureOption,
    print_reading,
    report,
    ribbon,
)
from service.cli.recognition_options import (
    AcceptErrorsOption,
    AllowedOption,
    AlternativesOption,
    CheckOption,
    LengthOption,
    PatternOption,
    to_recognize_options,
)

if TYPE_CHECKING:
    from service.inputs.documents import Content
    from service.pb import recognizer_pb2 as pb


def send(
    files: FilesArgument,
    as_json: JsonOption = False,
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
    dpi: DpiOption = 300,
) -> None:
    """Read images through one server or several.

    Without an address, the server at DIGITSTRIP_LISTEN on this machine is used.
    """
    silence_grpc()
    from service.client.client import Client
    from service.imaging.limits import UNLIMITED

    options = to_recognize_options(
        length, pattern, allowed, check, alternatives, accept_errors, as_json
    )
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
    # One image at a time: a refusal costs no more than a watch, which may need a token.
    with Client(route, timeout, watch_health=False) as client:

        def read_page(content: "Content", page: int) -> "pb.RecognizeResponse":
            return client.recognize(content, page, scores=picture is not None, **options)

        report(files, read_page, print_reading, UNLIMITED, dpi, as_json, [Drawing(picture, ribbon)])
