"""Generate service/pb/ from the schema: `python proto/generate.py FOLDER`.

The virtual path service/pb makes protoc write imports that work from the top of the repository,
without rewriting anything.
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

SCHEMA = Path(__file__).parent / "digitstrip" / "v1"


def generate(folder: Path) -> None:
    """Write the stubs below `folder`/service/pb."""
    (folder / "service" / "pb").mkdir(parents=True, exist_ok=True)
    status = protoc.main(
        [
            "protoc",
            f"-Iservice/pb={SCHEMA}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--python_out={folder}",
            f"--pyi_out={folder}",
            f"--grpc_python_out={folder}",
            "service/pb/recognizer.proto",
        ]
    )
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
