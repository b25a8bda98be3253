"""Every setting of the gateway, from the environment (`SIGHTLINE_*`) and, below it, a TOML file."""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sightline.contract import (
    API_KEY_VARIABLE,
    DEFAULT_MAX_DETECTIONS,
    GATEWAY_VARIABLE,
    SERVING_TIMEOUT,
)
from sightline.images import DEFAULT_MAX_PIXELS
from sightline.serving_address import check_serving_address
from sightline_serving.gateway import settings_checks

PREFIX: Final = "SIGHTLINE_"
FILE_VARIABLE: Final = "SIGHTLINE_SETTINGS"  # path of the TOML file
METRICS_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name for it
MIB: Final = 2**20  # bytes
# Far above what makes sense, far below what overflows somewhere.
MOST_BYTES: Final = 2**40
MOST: Final = 1_000_000_000  # of anything counted
LONGEST: Final = 7 * 86_400  # seconds


def _words(value: Any) -> Any:
    """`a, b` in the environment, or a list in the file."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
ModelName = Annotated[str, AfterValidator(settings_checks.model_name)]
Label = Annotated[str, AfterValidator(settings_checks.label)]


class Settings(BaseSettings):
    """The gateway's settings; each field is the variable `SIGHTLINE_<NAME>`, or `<name>` in the file."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    # --- where to listen ---------------------------------------------------------------------------
    host: Annotated[str, AfterValidator(settings_checks.address)] = Field(
        default="127.0.0.1", description="address to listen on; 0.0.0.0 for all"
    )
    port: int = Field(default=8080, ge=1, le=65535, description="port to listen on")
    workers: int = Field(default=2, ge=1, le=256, description="worker processes")
    threads: int = Field(default=8, ge=1, le=256, description="detections worked on at once, per worker")
    max_in_flight: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="requests read, waiting or worked on, per worker; beyond it 503",
    )

    # --- the model server --------------------------------------------------------------------------
    serving: Annotated[str, AfterValidator(check_serving_address)] = Field(
        default="127.0.0.1:8500",
        description="TensorFlow Serving's gRPC address: host:port, dns:///name:port or ipv4:a:port,b:port "
        "for round robin, unix:PATH",
    )
    model: ModelName = Field(description="the model asked where a request names none; required")
    models: Annotated[Words, AfterValidator(settings_checks.model_names)] = Field(
        default=(), description="further models to list and to wait for, comma-separated"
    )
    label: Label | None = Field(
        default=None,
        description="version label of the default model asked where a request names none; else the newest",
    )
    canary_label: Label | None = Field(
        default=None, description="version label that a share of these requests goes to instead"
    )
    canary_share: float = Field(default=0.0, ge=0, le=1, description="that share, 0 to 1")
    shadow_label: Label | None = Field(
        default=None,
        description="version label that a share of the pictures is sent to as well, to be compared in the "
        "metrics and thrown away",
    )
    shadow_share: float = Field(default=0.0, ge=0, le=1, description="that share, 0 to 1")
    timeout: float = Field(
        default=SERVING_TIMEOUT,
        gt=0,
        le=600,
        description="seconds for a request, with its retries; beyond it 504",
    )

    tls_ca: Annotated[FilePath, AfterValidator(settings_checks.authority)] | None = Field(
        default=None, description="file with the authority that Serving's certificate is of; speaks TLS to it"
    )
    tls_certificate: FilePath | None = Field(
        default=None,
        description="file with our certificate, where Serving wants one; with tls_key and tls_ca",
    )
    tls_key: FilePath | None = Field(default=None, description="file with the key of tls_certificate")
    labels: Annotated[str, AfterValidator(settings_checks.labels)] | None = Field(
        default=None,
        description="for models without a card: a label file (label_map.pbtxt, or a label a line), or `coco`",
    )

    # --- limits ------------------------------------------------------------------------------------
    max_body: int = Field(
        default=20 * MIB, ge=1024, le=MOST_BYTES, description="bytes of a request with pictures"
    )
    max_pixels: int = Field(
        default=DEFAULT_MAX_PIXELS, ge=1, le=MOST, description="width x height of a picture or frame"
    )
    max_images: int = Field(default=32, ge=1, le=1024, description="pictures in one request")
    max_detections: int = Field(
        default=DEFAULT_MAX_DETECTIONS,
        ge=1,
        le=MOST,
        description="boxes per picture where a request names no number",
    )
    max_video: int = Field(default=512 * MIB, ge=1024, le=MOST_BYTES, description="bytes of a video")
    max_videos: int = Field(default=2, ge=1, le=64, description="videos worked on at once, per worker")
    max_frames: int = Field(
        default=100_000, ge=1, le=MOST, description="frames of a video that are looked at"
    )
    max_video_seconds: float = Field(
        default=3600, gt=0, le=LONGEST, description="length of a video that is looked at"
    )
    video_timeout: float = Field(
        default=1800,
        gt=0,
        le=LONGEST,
        description="seconds for a whole video; then it ends with an error line",
    )
    video_memory: int = Field(
        default=2048 * MIB,
        ge=256 * MIB,
        le=MOST_BYTES,
        description="bytes of address space for a video's decoder",
    )

    # --- who may ask -------------------------------------------------------------------------------
    api_keys: Annotated[Path, AfterValidator(settings_checks.api_keys)] | None = Field(
        default=None,
        description="file of `name: key` lines, re-read when it changes; without it everybody may ask",
    )
    rate_limit: Annotated[str, AfterValidator(settings_checks.rate)] | None = Field(
        default=None, description="requests per key, or per address without keys, such as 60/minute"
    )
    rate_store: Annotated[str, AfterValidator(settings_checks.rate_store)] = Field(
        default="memory://",
        description="where requests are counted: memory:// counts per worker, redis://host:port together",
    )
    proxies: int = Field(
        default=0, ge=0, le=8, description="proxies before us whose X-Forwarded-For is to be believed"
    )
    cors_origins: Annotated[Words, AfterValidator(settings_checks.origins)] = Field(
        default=(), description="origins whose pages may ask from a browser, comma-separated; * for all"
    )
    url_hosts: Annotated[Words, AfterValidator(settings_checks.hosts)] = Field(
        default=(),
        description="hosts that pictures are fetched from when a request names an address; none by default",
    )

    # --- what it says of itself --------------------------------------------------------------------
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="lowest level that is logged; info logs each request"
    )
    tracing: Annotated[bool, AfterValidator(settings_checks.tracing)] = Field(
        default=False,
        description="OpenTelemetry traces (extra `tracing`); OTEL_EXPORTER_OTLP_ENDPOINT says where to",
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"{variable('tls_certificate')} and {variable('tls_key')} belong together")
        if self.tls_certificate is None or self.tls_key is None:
            return self
        if self.tls_ca is None:
            raise ValueError(f"{variable('tls_certificate')} needs {variable('tls_ca')} beside it")
        try:
            settings_checks.key_pair(self.tls_certificate, self.tls_key)
        except ValueError as fault:
            raise ValueError(f"{variable('tls_certificate')} and {variable('tls_key')}: {fault}") from None
        return self

    @model_validator(mode="after")
    def _shares_have_labels(self) -> Settings:
        for name in ("canary", "shadow"):
            label, share = getattr(self, f"{name}_label"), getattr(self, f"{name}_share")
            if share and label is None:
                raise ValueError(f"{variable(f'{name}_share')} needs {variable(f'{name}_label')} beside it")
            if label is not None and self.label is None:
                raise ValueError(
                    f"{variable(f'{name}_label')} needs {variable('label')} beside it, or the newest version "
                    "serves anyway"
                )
        return self

    @property
    def listed_models(self) -> tuple[str, ...]:
        """The default model, then the further ones, each once."""
        return tuple(dict.fromkeys((self.model, *self.models)))


class SettingsError(ValueError):
    """One or more settings are wrong; each line of the text names one and says what would be right."""


def load() -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a variable or a file entry is unknown, missing or wrong.
    """
    variables = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    faults = [_unknown(name) for name, value in variables.items() if not _known(name, value)]
    path = variables.get(FILE_VARIABLE)
    entries = _read_file(Path(path)) if path else {}
    fields = Settings.model_fields
    faults += [f"{name} in {path} is no setting{_hint(name)}" for name in entries if name not in fields]
    if faults:
        raise SettingsError("\n".join(faults))
    try:  # arguments would go before the environment, which is to go before the file
        return Settings(**{name: value for name, value in entries.items() if variable(name) not in variables})
    except ValidationError as fault:
        raise SettingsError("\n".join(_explain(error) for error in fault.errors())) from None


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise SettingsError(f"{FILE_VARIABLE}: cannot read {path}: {fault}") from None


def _known(name: str, value: str) -> bool:
    if name in (FILE_VARIABLE, GATEWAY_VARIABLE, API_KEY_VARIABLE):
        return True
    if name.removeprefix(PREFIX).lower() in Settings.model_fields:
        return True
    # Kubernetes tells every pod of every service; one called sightline-something looks like ours.
    return value.startswith("tcp://") or "_SERVICE_" in name or "_PORT_" in name


def _unknown(name: str) -> str:
    return f"{name} is no setting{_hint(name.removeprefix(PREFIX).lower(), PREFIX)}"


def _hint(name: str, prefix: str = "") -> str:
    close = get_close_matches(name, Settings.model_fields, n=1)
    return f"; did you mean {prefix + (close[0].upper() if prefix else close[0])}?" if close else ""


def _explain(error: Any) -> str:
    if not error["loc"]:  # several fields together
        return _words_of(error)
    field = str(error["loc"][0])
    name = variable(field)
    meaning = Settings.model_fields[field].description
    if error["type"] == "missing":
        return f"{name} is not set: {meaning}"
    value = os.environ.get(name, error["input"])
    link = ""
    if str(value).startswith("tcp://"):
        link = " (Kubernetes set it for a service; give the pod enableServiceLinks: false)"
    return f"{name} is {value!r}: {_words_of(error)}{link} ({meaning})"


def _words_of(error: Any) -> str:
    """What pydantic says, as part of a sentence."""
    words = str(error["msg"]).removeprefix("Value error, ")
    return words if words.startswith(PREFIX) else words[:1].lower() + words[1:]
