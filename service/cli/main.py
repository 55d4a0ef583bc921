"""`digitstrip`: read · send · batch · serve · health."""

from typing import Annotated

import typer

from service.cli.batch import batch
from service.cli.health import health
from service.cli.output import Exit, err, show_version
from service.cli.read import read
from service.cli.send import send
from service.cli.serve import serve
from service.errors import DigitstripError, ServerUnavailable, SettingsError

# What gRPC says where the two sides do not agree on TLS, or on whom to trust.
SIGNS_OF_TLS = ("Socket closed", "CERTIFICATE", "andshake", "Hostname Verification")
ASK_FOR_TLS = (
    "does it speak TLS, and do you? see --tls, --tls-ca, --tls-certificate, --tls-server-name"
)
ASK_FOR_ADDRESS = "is `digitstrip serve` running there? --address says where to ask"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Read strings of handwritten digits.",
)


@app.callback()
def callback(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Read strings of handwritten digits."""


for command in (read, send, batch, serve, health):
    app.command()(command)


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
