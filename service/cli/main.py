"""`digitstrip`: read · send · batch · review · form · serve · health."""

from typing import Annotated

import typer

from service.cli import form
from service.cli.batch import batch
from service.cli.health import health
from service.cli.output import Exit, err, open_standard_streams, show_version
from service.cli.read import read
from service.cli.review import review
from service.cli.send import send
from service.cli.serve import serve
from service.errors import DigitstripError, ServerUnavailable, SettingsError

# In gRPC's message where the two sides disagree on TLS or on whom to trust.
TLS_SIGNS = ("Socket closed", "CERTIFICATE", "andshake", "Hostname Verification")
TLS_HINT = (
    "the server and this side may disagree on TLS: see --tls, --tls-ca, --tls-certificate, "
    "--tls-server-name"
)
ADDRESS_HINT = "is `digitstrip serve` running there? --address names another server"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
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


for command in (read, send, batch, review, serve, health):
    app.command()(command)
app.add_typer(form.app, name="form")


def main() -> None:
    """Run the command line; an error of Digitstrip ends it with a sentence and its exit status."""
    open_standard_streams()
    try:
        app()
    except DigitstripError as error:
        err.print(f"error: {error.reason}: {error}", style="red")
        if isinstance(error, ServerUnavailable):
            of_tls = any(sign in str(error) for sign in TLS_SIGNS)
            err.print(TLS_HINT if of_tls else ADDRESS_HINT)
        wrong_use = isinstance(error, SettingsError)
        raise SystemExit(Exit.WRONG_USE if wrong_use else Exit.SOME_FAILED) from error
