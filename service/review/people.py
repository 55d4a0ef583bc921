"""Who works on a review: one person on this machine, or several by their names and tokens."""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from service.errors import SettingsError, Unauthenticated
from service.tokens import SHORTEST

COOKIE = "digitstrip_review"


@dataclass(frozen=True)
class People:
    """The people of a review.

    Args:
        alone: the name of the one person, who needs no token; None where there are several.
        digests: SHA-256 of each person's token, by name.
    """

    alone: str | None
    digests: dict[str, bytes]

    def name_of(self, token: str) -> str:
        """Return whose token it is, in constant time.

        Raises:
            Unauthenticated: it is nobody's.
        """
        if self.alone is not None:
            return self.alone
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        found = [name for name, own in self.digests.items() if hmac.compare_digest(own, digest)]
        if not found:
            raise Unauthenticated("this token is nobody's; sign in with yours")
        return found[0]


def read_people(path: Path) -> People:
    """Read a file of names and tokens, one person a line: `ada 3f9c0d…`; # begins a comment.

    Raises:
        SettingsError: it cannot be read, a line is malformed, or a token is short, not ASCII, or
            used twice.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the people in {path}: {error}") from error
    digests: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, token = line.strip().rpartition(" ")
        if not name or name in digests:
            raise SettingsError(
                f"line {number} of {path} has no name before its token, or one that is there "
                "already; expected a name and a token"
            )
        if not (token.isascii() and token.isprintable()):  # as cookies are
            raise SettingsError(
                f"the token in line {number} of {path} has characters beyond ASCII; expected "
                "letters, digits and signs, such as `openssl rand -hex 16` makes"
            )
        if len(token) < SHORTEST:
            raise SettingsError(
                f"the token in line {number} of {path} has {len(token)} characters; expected "
                f"{SHORTEST} or more, such as `openssl rand -hex 16` makes"
            )
        digests[name.strip()] = hashlib.sha256(token.encode()).digest()
    if not digests or len(set(digests.values())) < len(digests):
        raise SettingsError(f"{path} has no people, or one token twice; expected one for each")
    return People(None, digests)
