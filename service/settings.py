"""Every knob of the server, from flags, environment (DIGITSTRIP_*) and file; built once."""

from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from service.cpus import usable_cpus
from service.errors import SettingsError
from service.image import Limits
from service.scorer import CPU, SHIPPED_MODEL


def host_and_port(listen: str) -> str:
    """Insist on host:port; gRPC would wrap a port past 65535 round."""
    host, _, port = listen.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("expected host:port, with a port of 0 to 65535")
    return listen


class Settings(BaseSettings):
    """What the server is told; a flag outweighs the environment, that the file."""

    model_config = SettingsConfigDict(env_prefix="DIGITSTRIP_", extra="forbid", frozen=True)

    listen: Annotated[
        str, AfterValidator(host_and_port), Field(description="Address and port; 0 is a free one.")
    ] = "127.0.0.1:50051"
    model: Annotated[Path, Field(description="The ONNX file to read with.")] = SHIPPED_MODEL
    providers: Annotated[
        tuple[str, ...], Field(description="onnxruntime execution providers, the first preferred.")
    ] = CPU
    threads: Annotated[
        int, Field(ge=1, description="Images read at once; the usable CPUs by default.")
    ] = Field(default_factory=usable_cpus)
    threads_per_image: Annotated[
        int, Field(ge=1, description="Threads that one pass of the network uses.")
    ] = 1
    max_bytes: Annotated[int, Field(ge=1, description="Of an encoded image.")] = Limits.max_bytes
    max_pixels: Annotated[int, Field(ge=1, description="Of a decoded page.")] = Limits.max_pixels
    max_width: Annotated[int, Field(ge=1, description="Of a decoded page, pixels.")] = (
        Limits.max_width
    )
    max_pages: Annotated[int, Field(ge=1, description="Of a TIFF.")] = Limits.max_pages
    tile_positions: Annotated[
        int, Field(ge=1, description="Most positions scored in one pass; bounds memory.")
    ] = 1024
    grace_seconds: Annotated[
        float,
        Field(ge=0, description="For work in hand after SIGTERM; an image being read is finished."),
    ] = 10.0
    reflection: Annotated[bool, Field(description="Serve the schema to tools that ask.")] = True

    @property
    def limits(self) -> Limits:
        """How large an image may be."""
        return Limits(self.max_bytes, self.max_pixels, self.max_width, self.max_pages)


def load_settings(file: Path | None = None, **flags: object) -> Settings:
    """Build the settings.

    Args:
        file: a TOML file with the fields of `Settings`, or None.
        flags: fields that outweigh environment and file; None leaves one to them.

    Raises:
        SettingsError: names the setting, the value seen and what is allowed.
    """
    if file is not None and not file.is_file():
        raise SettingsError(f"there is no settings file {file}")

    class WithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return WithFile(**cast(dict[str, Any], given))
    except ValidationError as error:
        complaints = "; ".join(
            f"{'.'.join(map(str, each['loc']))} = {each['input']!r}: {each['msg']}"
            for each in error.errors()
        )
        raise SettingsError(f"bad settings: {complaints}") from error
    except ValueError as error:  # a file that is no TOML, a variable that is no JSON
        where = f" in {file} or the environment" if file else " in the environment"
        raise SettingsError(f"bad settings{where}: {error}") from error
