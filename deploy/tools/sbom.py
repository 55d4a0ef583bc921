"""What the image is made of, as a CycloneDX bill of materials.

    python deploy/tools/sbom.py out/sbom.cdx.json [--image digitstrip]

lists the packages that `deploy/requirements.txt` locks, with their hashes; their licenses are those
of the same versions, as set-up installs them. With a built image, Debian's packages as well.
"""

import argparse
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "deploy" / "requirements.txt"


def locked(lock: Path = LOCK) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (name, version, hashes as `sha256:…`) of every package in a lock."""
    for each in re.split(r"\n(?=\w)", lock.read_text(encoding="utf-8")):
        pin = re.match(r"([\w.-]+)==(\S+)", each)
        if pin:
            yield pin[1], pin[2], re.findall(r"--hash=(sha256:[0-9a-f]{64})", each)


def python_components() -> Iterator[Component]:
    """Yield the locked packages."""
    for name, version, hashes in locked():
        purl = PackageURL("pypi", name=name, version=version)
        files = ExternalReference(  # one hash for each file, of which a machine takes one
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(str(purl)),
            hashes=map(HashType.from_composite_str, hashes),
        )
        yield Component(
            name=name,
            version=version,
            bom_ref=str(purl),
            purl=purl,
            licenses=licenses(name),
            external_references=[files],
        )


def licenses(name: str) -> list[License]:
    """Return what the installed package says of its license; nothing if it does not say."""
    fields = metadata.metadata(name)
    classifiers = fields.get_all("Classifier", [])
    names = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    said = fields["License-Expression"] or fields["License"] or " AND ".join(names)
    return [LicenseFactory().make_from_string(said.splitlines()[0])] if said else []


def debian_components(image: str) -> Iterator[Component]:
    """Yield Debian's packages in an image."""
    query = ["dpkg-query", "-W", "-f", r"${Package} ${Version} ${Architecture}\n"]
    docker = ["docker", "run", "--rm", "--network=none", "--entrypoint", query[0], image]
    listed = subprocess.run([*docker, *query[1:]], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        name, version, architecture = line.split()
        purl = PackageURL("deb", "debian", name, version, {"arch": architecture})
        yield Component(name=name, version=version, bom_ref=str(purl), purl=purl)


def main() -> None:
    """Write the bill of materials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--image", help="an image that was built; Debian's packages are in it")
    arguments = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    image = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.CONTAINER,
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )
    parts = [*python_components()]
    if arguments.image:
        parts += debian_components(arguments.image)
    bom = Bom(components=parts)
    bom.metadata.component = image
    bom.register_dependency(image, parts)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    JsonV1Dot6(bom).output_to_file(str(arguments.out), allow_overwrite=True, indent=2)
    print(f"{len(parts)} packages in {arguments.out}")


if __name__ == "__main__":
    main()
