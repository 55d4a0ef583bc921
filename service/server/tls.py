"""TLS for the server: certificates that are reloaded when their files change."""

from pathlib import Path
from typing import Any

import grpc

from service.errors import SettingsError
from service.file_watcher import Watched, read_regular
from service.serving.settings import Settings


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Return the credentials for TLS, or None if the settings have none.

    With `tls_client_ca`, clients must present a certificate of its roots (mTLS). New handshakes use
    the files as they are then; files that cannot be read leave the old certificates in place.

    Raises:
        SettingsError: a file cannot be read, or certificate and key are not PEM.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    roots = settings.tls_client_ca
    files = [file for file in (certificate, key, roots) if file is not None]
    watched = Watched(files, lambda: _configuration(certificate, key, roots))
    try:
        return grpc.dynamic_ssl_server_credentials(
            watched.value, lambda: watched.value, roots is not None
        )
    except (ValueError, TypeError) as error:
        raise SettingsError(f"TLS cannot be set up with {certificate}: {error}") from error


def _configuration(certificate: Path, key: Path, roots: Path | None) -> Any:  # noqa: ANN401 - grpc ships no types
    """Return the certificates as gRPC expects them.

    Raises:
        SettingsError: a file cannot be read, or key and certificate do not belong together.
    """
    import ssl

    try:  # gRPC would say no more than that handshakes fail
        pair = (read_regular(key), read_regular(certificate))
        trusted = read_regular(roots) if roots is not None else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")
        if roots is not None:
            context.load_verify_locations(roots)
        return grpc.ssl_server_certificate_configuration([pair], trusted)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot use the certificate {certificate} with the key {key}"
            + (f" and the roots {roots}" if roots else "")
            + f": {error}"
        ) from error
