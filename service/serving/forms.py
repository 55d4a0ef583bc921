"""The forms that a server has, by name: read from a folder, built by workers, reloaded."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from service.errors import BadForm, DigitstripError
from service.file_watcher import Stamp, stamp
from service.forms.files import no_such_form, of_file, read_form
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb
from service.workers.admission_queue import Answer

MAX_FORMS = 256  # of a folder

# Builds a serialized Form in a worker: its description, or the error as a value.
Describe = Callable[[bytes], Awaitable[Answer | DigitstripError]]


class ServedForms:
    """The forms of a folder; none of them is decoded in this process.

    Args:
        folder: with templates, `*.toml`, each named by its file; None has none.
        limits: of references.
        describe: builds a form elsewhere.
    """

    def __init__(self, folder: Path | None, limits: Limits, describe: Describe) -> None:
        self.folder = folder
        self.limits = limits
        self.listed = pb.ListFormsResponse()
        self._describe = describe
        self._forms: dict[str, bytes] = {}  # serialized, by name

    async def load(self) -> None:
        """Read the folder; a mistake changes nothing.

        Raises:
            BadForm: a sentence for every mistake of the first template that has any.
            DigitstripError: no worker could build one.
        """
        if self.folder is None:
            return
        forms, listed = {}, pb.ListFormsResponse()
        for path in await asyncio.to_thread(self._templates):
            message = await asyncio.to_thread(read_form, path, self.limits)
            forms[path.stem] = message.SerializeToString()
            answer = await self._describe(forms[path.stem])
            with of_file(path):
                if isinstance(answer, DigitstripError):
                    raise answer
            listed.forms.add().ParseFromString(answer.response)
        self._forms, self.listed = forms, listed

    def named(self, name: str) -> bytes:
        """Return a form, serialized.

        Raises:
            NoSuchForm: there is none of that name.
        """
        if name not in self._forms:
            raise no_such_form(name, self._forms)
        return self._forms[name]

    def stamp(self) -> Stamp:
        """Return a value that changes when a file of the folder does."""
        if self.folder is None:
            return ()
        try:
            return stamp([self.folder, *sorted(self.folder.iterdir())[: 4 * MAX_FORMS]])
        except OSError:
            return ()

    def _templates(self) -> list[Path]:
        assert self.folder is not None
        try:
            found = sorted(self.folder.iterdir())
        except OSError as error:
            raise BadForm(f"cannot read the folder {self.folder}: {error.strerror}") from error
        templates = [each for each in found if each.suffix == ".toml"]
        if len(templates) > MAX_FORMS:
            raise BadForm(
                f"{self.folder} has {len(templates)} templates; at most {MAX_FORMS} are allowed"
            )
        return templates
