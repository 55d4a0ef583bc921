"""TLS for HTTP: certificates that are reloaded when their files change."""

import ssl
from pathlib import Path

from service.errors import SettingsError
from service.file_watcher import Watched


def tls_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return the context of a server; each handshake uses the files as they are then.

    Args:
        certificate: PEM chain.
        key: PEM private key of the certificate.
        client_ca: PEM roots, of which clients must present a certificate; None, they need none.

    Raises:
        SettingsError: a file cannot be read, or key and certificate do not belong together.
    """
    files = [file for file in (certificate, key, client_ca) if file is not None]
    watched = Watched(files, lambda: _context(certificate, key, client_ca))

    def use_latest(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = watched.value

    context = watched.value
    context.sni_callback = use_latest  # called in every handshake, with a name or without
    return context


def _context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot use the certificate {certificate} with the key {key}"
            + (f" and the roots {client_ca}" if client_ca else "")
            + f": {error}"
        ) from error
    return context
