"""The server's settings, from flags, environment (DIGITSTRIP_*) and file; built once."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from service.errors import SettingsError
from service.imaging.limits import Limits
from service.recognition.model import CPU, SHIPPED_MODEL, ModelFiles, second_reader_file
from service.serving.observability.logs import LogFormat
from service.workers.cpu_quota import usable_cpus
from service.workers.pool import PoolSize
from service.workers.worker_config import WorkerConfig

PREFIX = "DIGITSTRIP_"  # of the settings' environment variables
# What Kubernetes and Docker set for a service of that name: DIGITSTRIP_PORT_50051_TCP_ADDR.
SERVICE_LINK = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


def host_and_port(listen: str) -> str:
    """Validate host:port; gRPC would wrap a port past 65535 around."""
    if not listen:
        return listen
    host, _, port = listen.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("expected host:port, with a port of 0 to 65535")
    return listen


def host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Validate names that a Host header may have."""
    for name in names:
        if not re.fullmatch(r"[a-z0-9_.-]+", name, re.IGNORECASE):
            raise ValueError(f"expected names without scheme and port, not {name!r}")
    return tuple(name.lower() for name in names)


def web_pages(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Validate origins as browsers send them."""
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9_.:\[\]-]+", origin):
            raise ValueError(f"expected scheme://host or scheme://host:port, not {origin!r}")
    return origins


class Settings(BaseSettings):
    """The settings; flags take precedence over the environment, and that over the file."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    listen: Annotated[
        str,
        Field(min_length=1, description="Address and port; port 0 is a free one."),
        AfterValidator(host_and_port),
    ] = "127.0.0.1:50051"
    model: Annotated[Path, Field(description="The ONNX model file.")] = SHIPPED_MODEL
    second_reader: Annotated[
        str | None,
        Field(
            min_length=1,
            description="The second reader's ONNX file, or none; by default the shipped one beside "
            "the shipped model, and none beside another.",
        ),
    ] = None
    providers: Annotated[
        tuple[str, ...],
        Field(description="onnxruntime execution providers, the preferred one first."),
    ] = CPU
    workers: Annotated[
        int, Field(ge=1, description="Worker processes; the usable CPUs by default.")
    ] = Field(default_factory=usable_cpus)
    threads_per_image: Annotated[
        int, Field(ge=1, description="Threads of one pass of the network.")
    ] = 1
    max_bytes: Annotated[int, Field(ge=1, description="Maximum of an encoded image.")] = (
        Limits.max_bytes
    )
    max_pixels: Annotated[int, Field(ge=1, description="Maximum of a decoded page.")] = (
        Limits.max_pixels
    )
    max_width: Annotated[
        int, Field(ge=1, description="Maximum width and height of a decoded page, pixels.")
    ] = Limits.max_width
    max_pages: Annotated[int, Field(ge=1, description="Maximum of a TIFF.")] = Limits.max_pages
    max_decoding_bytes: Annotated[
        int, Field(ge=1, description="Maximum of memory for decoding one page, estimated.")
    ] = Limits.max_decoding_bytes
    tile_positions: Annotated[
        int, Field(ge=1, description="Maximum positions scored in one pass; bounds memory.")
    ] = 1024
    queue_pixels: Annotated[
        int, Field(ge=1, description="Pixels in flight per worker; past it, calls are refused.")
    ] = PoolSize.queue_pixels
    large_pixels: Annotated[
        int,
        Field(
            ge=1,
            description="Pages larger than this are processed one at a time by a separate worker.",
        ),
    ] = PoolSize.large_pixels
    image_seconds: Annotated[
        float, Field(gt=0, description="Maximum for one image; then its worker is killed.")
    ] = PoolSize.image_seconds
    max_held_bytes: Annotated[
        int,
        Field(
            ge=1,
            description="Requests and responses held or arriving in all calls, large ones up to "
            "three quarters of it; past it, none is received.",
        ),
    ] = 128 * 2**20
    max_slow_messages: Annotated[
        int,
        Field(
            ge=1,
            description="Messages that arrive slowly at once; past it, the oldest is refused.",
        ),
    ] = 4
    receive_seconds: Annotated[
        float, Field(gt=0, description="Maximum for the message of a call to arrive.")
    ] = 30.0
    grace_seconds: Annotated[
        float,
        Field(ge=0, description="Time for calls in progress after SIGTERM; then they are ended."),
    ] = 10.0
    drain_delay_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Time for which calls are still accepted after health says NOT_SERVING.",
        ),
    ] = 0.0
    watch_model: Annotated[
        bool,
        Field(description="Reload the model and the forms when their files change, as on SIGHUP."),
    ] = False
    forms: Annotated[
        Path | None,
        Field(description="Folder of forms' templates, *.toml, that calls may name by their file."),
    ] = None
    max_response_bytes: Annotated[
        int, Field(ge=1, description="Maximum of one response; score maps of wide pages are large.")
    ] = 128 * 2**20
    max_connections: Annotated[int, Field(ge=1, description="Maximum open at once.")] = 4096
    max_concurrent_streams: Annotated[
        int, Field(ge=1, description="Maximum calls of one connection.")
    ] = 256
    max_connection_age_seconds: Annotated[
        float, Field(ge=0, description="After which a client must reconnect; 0: never.")
    ] = 1800.0
    connection_grace_seconds: Annotated[
        float, Field(ge=0, description="Time for the calls of a connection that is too old.")
    ] = 120.0
    keepalive_seconds: Annotated[
        float, Field(gt=0, description="Silence after which a client is pinged.")
    ] = 60.0
    tls_certificate: Annotated[
        Path | None, Field(description="PEM chain; with tls_key, only TLS is accepted.")
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM private key of the certificate.")] = None
    tls_client_ca: Annotated[
        Path | None,
        Field(description="PEM roots; clients must present a certificate that they signed."),
    ] = None
    tokens_file: Annotated[
        Path | None,
        Field(description="File of bearer tokens, one a line; calls must carry one of them."),
    ] = None
    health_open: Annotated[bool, Field(description="Whether health checks need no token.")] = True
    reflection: Annotated[bool, Field(description="Serve the schema to tools that ask.")] = True
    web_listen: Annotated[
        str,
        AfterValidator(host_and_port),
        Field(description="Address and port for HTTP and the page in the browser; empty, none."),
    ] = ""
    web_hosts: Annotated[
        tuple[str, ...],
        AfterValidator(host_names),
        Field(
            description="Names by which HTTP may be called besides localhost and IP addresses; "
            "another Host is refused."
        ),
    ] = ()
    web_origins: Annotated[
        tuple[str, ...],
        AfterValidator(web_pages),
        Field(
            description="Other sites whose pages may call over HTTP (CORS), such as "
            "https://example.org."
        ),
    ] = ()
    metrics_listen: Annotated[
        str,
        AfterValidator(host_and_port),
        Field(description="Address and port for Prometheus; empty, none."),
    ] = ""
    log_format: Annotated[
        LogFormat, Field(description="One line a call on stderr: text, json or none.")
    ] = LogFormat.TEXT
    log_texts: Annotated[bool, Field(description="Log the texts, too.")] = False
    tracing: Annotated[
        bool, Field(description="Send OpenTelemetry spans to where OTEL_EXPORTER_OTLP_* points.")
    ] = False

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together; one is missing")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self

    @property
    def model_files(self) -> list[Path]:
        """The ONNX files to read with: one, or two."""
        second = second_reader_file(self.model, self.second_reader)
        return [self.model, second] if second else [self.model]

    def read_models(self) -> ModelFiles:
        """Read the ONNX files.

        Raises:
            ModelError: one cannot be read.
        """
        return ModelFiles.read(self.model, self.second_reader)

    @property
    def limits(self) -> Limits:
        """The limits of an image."""
        return Limits(
            self.max_bytes,
            self.max_pixels,
            self.max_width,
            self.max_pages,
            self.max_decoding_bytes,
        )

    @property
    def worker_config(self) -> WorkerConfig:
        """The configuration of the workers."""
        return WorkerConfig(
            limits=self.limits,
            threads=self.threads_per_image,
            providers=self.providers,
            tile_positions=self.tile_positions,
        )

    @property
    def pool_size(self) -> PoolSize:
        """How much the pool does at once."""
        return PoolSize(self.workers, self.queue_pixels, self.large_pixels, self.image_seconds)


def check_variables(environment: Mapping[str, str], others: Iterable[str] = ()) -> None:
    """Refuse a DIGITSTRIP_ variable that sets nothing: misspelled, it would leave a default.

    Args:
        environment: the variables and their values.
        others: names that other commands know, such as DIGITSTRIP_ADDRESS.

    Raises:
        SettingsError: names the variable and the one that it resembles most.
    """
    known = {name.upper() for name in Settings.model_fields}
    known |= {name.removeprefix(PREFIX) for name in others}
    for variable in sorted(environment):
        prefix, name = variable[: len(PREFIX)], variable[len(PREFIX) :].upper()
        if prefix.upper() == PREFIX and name not in known and not SERVICE_LINK.fullmatch(name):
            raise SettingsError(f"{variable} is no setting{_hint(name, known, PREFIX)}")


def _hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the end of a sentence that refuses a name: which known one may be meant, if any."""
    nearest = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else ""


def load_settings(file: Path | None = None, **flags: object) -> Settings:
    """Build the settings.

    Args:
        file: a TOML file with the fields of `Settings`, or None.
        flags: fields that take precedence; None leaves a field to environment and file.

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
        return WithFile(**cast(dict[str, Any], given))  # pydantic checks their types
    except ValidationError as error:
        complaints = "; ".join(_complaint(each) for each in error.errors())
        raise SettingsError(f"bad settings: {complaints}") from error
    except ValueError as error:  # a file that is no TOML, a variable that is no JSON
        where = f" in {file} or the environment" if file else " in the environment"
        raise SettingsError(f"bad settings{where}: {error}") from error


def _complaint(error: ErrorDetails) -> str:
    """Return what pydantic says of a setting: its name, the value seen and what is allowed."""
    if not error["loc"]:
        return error["msg"]
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{name} is no setting{_hint(name, Settings.model_fields)}"
    return f"{name} = {error['input']!r}: {error['msg']}"
