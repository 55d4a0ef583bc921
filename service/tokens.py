"""Bearer tokens from a file, several at once, so that they can be rotated (RFC 6750)."""

import hashlib
import hmac
from pathlib import Path

from service.errors import SettingsError, Unauthenticated
from service.file_watcher import Watched, read_regular

SHORTEST = 16  # characters of a token; shorter ones can be guessed


class Tokens:
    """The valid tokens: those of a file, one a line; # begins a comment.

    The file is reloaded when it changes. If it cannot be read then, or has no tokens, the old ones
    stay valid, and the log says so.

    Raises:
        SettingsError: the file cannot be read at first, or has a token that is too short, or none.
    """

    def __init__(self, file: Path) -> None:
        self._file = Watched([file], lambda: read_tokens(file))

    def refusal(self, authorization: str | None) -> Unauthenticated | None:
        """Return why a call with this header is refused; None if it is admitted."""
        if authorization and self.allow(authorization):
            return None
        return Unauthenticated(
            "the token is not valid"
            if authorization
            else "the call carries no token; expected 'authorization: Bearer TOKEN'"
        )

    def allow(self, authorization: str) -> bool:
        """Return whether a header carries a valid token, in constant time."""
        scheme, _, token = authorization.partition(" ")
        digest = hashlib.sha256(token.strip().encode()).digest()
        known = [hmac.compare_digest(digest, each) for each in self._file.value]
        return any(known) and scheme.lower() == "bearer"


def read_tokens(file: Path) -> tuple[bytes, ...]:
    """Return the SHA-256 of every token in a file.

    Raises:
        SettingsError: it cannot be read, or has a token that is too short, or none.
    """
    try:
        lines = read_regular(file).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the tokens in {file}: {error}") from error
    tokens = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not tokens:
        raise SettingsError(f"there are no tokens in {file}; expected one a line")
    if short := sum(len(token) < SHORTEST for token in tokens):
        raise SettingsError(
            f"{short} of the tokens in {file} have fewer than {SHORTEST} characters"
        )
    return tuple(hashlib.sha256(token.encode()).digest() for token in tokens)
