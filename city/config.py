"""The city's settings: `config.yaml` overridden by `MARKAZ_…` variables, checked once, frozen.

This is the only module that reads YAML or the environment. An unknown or ill-typed key is
refused with its path, what was given and what is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from city.checked import Section, check_braces, check_timezone, check_topic_filter, listed
from city.i18n import Language
from city.mappings import FeedMapping, check_names

ENV_PREFIX = "MARKAZ_"
# Read by the command line itself, not part of the settings.
ENV_NOT_SETTINGS = frozenset({"MARKAZ_CONFIG"})

_PASSWORD_IN_URL = re.compile(r"://[^/]*@")

Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
FormatName = Literal["native", "hfp", "gtfs_rt", "waltti_apc", "frigate", "traccar", "owntracks"]


class ConfigError(Exception):
    """The settings cannot be used. The message is one line and names the key."""


class Http(Section):
    host: str = "127.0.0.1"
    port: Port | None = None
    allowed_origins: tuple[str, ...] = ()


class Mqtt(Section):
    url: str = "embedded"
    port: Port | None = None
    version: Literal["auto", "3.1.1", "5"] = "auto"
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    ca_file: Path | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    session_expiry_s: Annotated[int, Field(ge=60)] = 86400

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        return _check_scheme(url, ("mqtt", "mqtts"))


class Redis(Section):
    url: str = "embedded"
    port: Port | None = None
    password: str | None = Field(default=None, repr=False)

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        return _check_scheme(url, ("redis", "rediss", "unix", "redis-cluster", "rediss-cluster"))


class History(Section):
    url: str = "var/history"


class Store(Section):
    partitions: Annotated[int, Field(ge=1, le=256)] = 8
    events_keep_s: Positive = 900
    rejects_max_bytes: Annotated[int, Field(ge=1_000_000)] = 67_108_864
    durability: Literal["memory", "disk"] = "memory"
    replicas: Annotated[int, Field(ge=0, le=10)] = 0
    alarms_keep_s: Positive = 172800
    samples_keep_s: Positive = 180000
    vehicle_samples_keep_s: Positive = 7200


class Checks(Section):
    future_max_s: Positive = 60
    stale_max_s: Positive = 3600
    speed_max_mps: Positive = 45
    area_margin_m: Annotated[float, Field(ge=0)] = 10000


class Ingest(Section):
    client: Literal["lean", "paho"] = "lean"
    client_id: Annotated[str, Field(min_length=1)] = "markaz-{city}"
    share: Annotated[str, Field(pattern=r"^[^/+#\s]+$")] | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    parts: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,16}$")], tuple[str, ...]] = Field(default={})
    batch_max: Annotated[int, Field(ge=1, le=2000)] = 500
    batch_window_ms: Annotated[float, Field(ge=0, le=1000)] = 5
    batches_in_flight: Annotated[int, Field(ge=1, le=16)] = 2
    queue_max: Annotated[int, Field(ge=1000)] = 20000
    queue_max_bytes: Annotated[int, Field(ge=1_000_000)] = 67_108_864
    payload_max_bytes: Annotated[int, Field(ge=1024)] = 65536
    topics: Mapping[FormatName, tuple[str, ...]] = Field(
        default={
            "native": ("markaz/v1/{city}/#",),
            "hfp": ("/hfp/v2/#",),
            "gtfs_rt": ("gtfs-rt/+",),
            "waltti_apc": ("apc-from-vehicle/v1/+/+/+/+",),
            "frigate": ("frigate/events", "frigate/reviews", "frigate/available"),
            "traccar": ("traccar/positions", "traccar/events"),
            "owntracks": ("owntracks/+/+",),
        }
    )
    mappings: Mapping[str, FeedMapping] = Field(default={})
    checks: Checks = Checks()

    @field_validator("client_id")
    @classmethod
    def _city_in_client_id(cls, client_id: str) -> str:
        return check_braces(client_id)

    @field_validator("topics", "parts", mode="before")
    @classmethod
    def _one_or_many(cls, topics: Any) -> Any:
        """A filter alone stands for a list of one; null turns the format off."""
        if not isinstance(topics, Mapping):
            return topics
        return {name: listed(given) for name, given in topics.items()}

    @property
    def all_topics(self) -> Mapping[str, tuple[str, ...]]:
        """The topic filters of every format and mapping, `{city}` still in them."""
        return dict(self.topics) | {name: mapping.topics for name, mapping in self.mappings.items()}

    @field_validator("topics", "parts")
    @classmethod
    def _city_in_topics(cls, topics: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for topic_filter in (one for filters in topics.values() for one in filters):
            check_braces(topic_filter)
            check_topic_filter(topic_filter)
        return topics

    @field_validator("mappings")
    @classmethod
    def _names_of_their_own(cls, mappings: Mapping[str, FeedMapping]) -> Mapping[str, FeedMapping]:
        check_names(mappings, {*get_args(FormatName), "case", "unknown"})
        return mappings


class Feeds(Section):
    expected_rate_per_s: Mapping[str, Positive] = Field(default={})


class FuelDrop(Section):
    priority: Literal["critical", "high", "medium", "low"] = "high"
    drop_min_l: Positive = 8
    window_s: Positive = 900
    standing_speed_mps: Positive = 0.5
    confirm_readings: Annotated[int, Field(ge=1, le=100)] = 3
    clear_after_s: Positive = 3600


class Overload(Section):
    priority: Literal["critical", "high", "medium", "low"] = "medium"
    load_max: Positive = 1.2
    load_clear: Positive = 1.0
    on_delay_s: Annotated[float, Field(ge=0)] = 120
    forget_after_s: Positive = 1800

    @model_validator(mode="after")
    def _hysteresis(self) -> Overload:
        if self.load_clear > self.load_max:
            raise ValueError("load_clear must not be above load_max")
        return self


class CameraOffline(Section):
    priority: Literal["critical", "high", "medium", "low"] = "low"
    on_delay_s: Annotated[float, Field(ge=0)] = 30


class CameraAlert(Section):
    priority: Literal["critical", "high", "medium", "low"] = "critical"
    kinds: tuple[str, ...] = ("fire", "smoke", "accident")
    crowd_min: Annotated[int, Field(ge=1)] = 50
    clear_after_s: Positive = 900


class FeedSilent(Section):
    priority: Literal["critical", "high", "medium", "low"] = "high"
    silent_after_s: Mapping[str, Positive] = Field(
        default={
            "vehicle/position": 15,
            "vehicle/passengers": 180,
            "vehicle/fuel": 180,
            "camera/event": 120,
            "camera/status": 600,
            "hfp": 60,
        }
    )


class RejectsFull(Section):
    priority: Literal["critical", "high", "medium", "low"] = "medium"
    share_max: Annotated[float, Field(gt=0, le=1)] = 0.8
    share_clear: Annotated[float, Field(gt=0, le=1)] = 0.7

    @model_validator(mode="after")
    def _hysteresis(self) -> RejectsFull:
        if self.share_clear > self.share_max:
            raise ValueError("share_clear must not be above share_max")
        return self


class Alarms(Section):
    fuel_drop: FuelDrop = FuelDrop()
    overload: Overload = Overload()
    camera_offline: CameraOffline = CameraOffline()
    camera_alert: CameraAlert = CameraAlert()
    feed_silent: FeedSilent = FeedSilent()
    rejects_full: RejectsFull = RejectsFull()


class Kpis(Section):
    sample_every_s: Annotated[int, Field(ge=1, le=60)] = 10
    fuel_window_s: Positive = 900
    capacity_default: Annotated[int, Field(ge=1)] = 80
    count_stale_after_s: Positive = 1800
    targets: Mapping[str, float] = Field(default={})


class Live(Section):
    vehicle_stale_after_s: Positive = 30
    camera_stale_after_s: Positive = 3600
    vehicle_gone_after_s: Positive = 86400
    frame_every_ms: Annotated[int, Field(ge=50, le=5000)] = 100
    summary_every_ms: Annotated[int, Field(ge=200, le=10000)] = 1000
    page_stale_after_s: Positive = 4
    queue_max_frames: Annotated[int, Field(ge=1)] = 8
    queue_stuck_s: Positive = 30


class Simulator(Section):
    vehicles: Annotated[int, Field(ge=1, le=100000)] = 300
    cameras: Annotated[int, Field(ge=0, le=100000)] = 240
    rate_hz: Positive = 1
    speed: Positive = 1
    seed: int = 1


class CityProfile(Section):
    names: Mapping[Language, str]
    bounds: tuple[float, float, float, float]
    timezone: str
    language: Language = "uz"

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, timezone: str) -> str:
        return check_timezone(timezone)

    @field_validator("bounds")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        west, south, east, north = bounds
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError("bounds are [west, south, east, north] in degrees")
        return bounds


class Config(Section):
    city: str = "tashkent"
    data_dir: Path = Path("var")
    simulate: bool = False
    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    redis: Redis = Redis()
    history: History = History()
    store: Store = Store()
    ingest: Ingest = Ingest()
    feeds: Feeds = Feeds()
    alarms: Alarms = Alarms()
    kpis: Kpis = Kpis()
    live: Live = Live()
    simulator: Simulator = Simulator()
    cities: Mapping[str, CityProfile]
    root: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _city_has_a_profile(self) -> Config:
        if self.city not in self.cities:
            raise ValueError(f"city: {self.city!r} has no profile under cities (allowed: {', '.join(self.cities)})")
        return self

    @model_validator(mode="after")
    def _shares_or_parts(self) -> Config:
        if self.ingest.share is not None and self.ingest.parts:
            raise ValueError("ingest: share and parts exclude each other: share is for brokers with $share")
        if self.ingest.share is not None and (self.mqtt.version == "3.1.1" or self.mqtt.url == "embedded"):
            raise ValueError("ingest.share: shared subscriptions need a broker of MQTT 5; use ingest.parts with others")
        return self

    @model_validator(mode="after")
    def _client_id_fits(self) -> Config:
        # MQTT 3.1.1 lets a broker refuse longer ones.
        if len(self.ingest_client_id) > 23:
            raise ValueError(f"ingest.client_id: {self.ingest_client_id!r} is longer than 23 characters")
        return self

    @property
    def ingest_client_id(self) -> str:
        """The name under which the broker keeps the city's session: two cities must not share one."""
        return self.ingest.client_id.format(city=self.city)

    @property
    def profile(self) -> CityProfile:
        return self.cities[self.city]

    @property
    def city_dir(self) -> Path:
        """Where the city's geography lies: `data/<city>/` beside config.yaml."""
        return self.root / "data" / self.city


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The settings of `path` under the environment's overrides; raises ConfigError."""
    environ = os.environ if environ is None else environ
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: a mapping is expected at the top, not {type(given).__name__}")
    sources = _overlay(given, environ)
    given["root"] = path.resolve().parent
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        raise ConfigError(_explain(error, sources, path)) from None
    # Relative paths lie beside config.yaml, wherever a process is started.
    ca_file = config.mqtt.ca_file and config.root / config.mqtt.ca_file
    mqtt = config.mqtt.model_copy(update={"ca_file": ca_file})
    return config.model_copy(update={"data_dir": config.root / config.data_dir, "mqtt": mqtt})


def _overlay(given: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Write the environment's values into `given`; returns which variable set which path."""
    sources: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or variable in ENV_NOT_SETTINGS:
            continue
        value = environ[variable]
        if not value:
            continue
        name = variable
        if variable.endswith("_FILE") and not variable.endswith("__CA_FILE"):
            name = variable.removesuffix("_FILE")
            try:
                value = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{variable}: {value}: {error.strerror}") from None
            except UnicodeDecodeError:
                raise ConfigError(f"{variable}: {value}: not UTF-8 text") from None
        parts = name.removeprefix(ENV_PREFIX).lower().split("__")
        section = given
        for part in parts[:-1]:
            below = section.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigError(f"{variable}: {part} is not a section")
            section = below
        try:
            section[parts[-1]] = yaml.safe_load(value) if value[:1] in "[{" else value
        except yaml.YAMLError as error:
            raise ConfigError(f"{variable}: not YAML: {' '.join(str(error).split())}") from None
        sources[".".join(parts)] = variable
    return sources


def _explain(error: ValidationError, sources: Mapping[str, str], path: Path) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        source = sources.get(where, path.name)
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(_allowed_keys(problem["loc"][:-1]))
            what = f"unknown key (allowed here: {allowed})"
        elif where and not isinstance(problem["input"], Mapping):  # a whole section is no help on one line
            given = "(hidden)" if where.endswith("password") else _PASSWORD_IN_URL.sub("://…@", repr(problem["input"]))
            what = f"{what}, not {given}"
        lines.append(f"{source}: {where}: {what}" if where else f"{source}: {what}")
    return "; ".join(lines)


def _allowed_keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at `loc`; mappings (such as cities) lead to their values' model."""
    model: Any = Config
    is_key = False
    for part in loc:
        if is_key:
            is_key = False
            continue
        annotation = getattr(model, "model_fields", {})[part].annotation
        is_key = bool(get_args(annotation))
        model = get_args(annotation)[-1] if is_key else annotation
    return sorted(set(getattr(model, "model_fields", {})) - {"root"})


def _check_scheme(url: str, schemes: tuple[str, ...]) -> str:
    scheme, separator, rest = url.partition("://")
    if url != "embedded" and (not separator or scheme not in schemes or not rest):
        allowed = ", ".join(f"{scheme}://…" for scheme in schemes)
        raise ValueError(f"expected embedded or {allowed}")
    if url == "embedded" or scheme == "unix":
        return url
    clustered = scheme.endswith("-cluster")
    user, at, places = rest.rpartition("@")
    for place in places.split(",") if clustered else [places]:
        parts = urlsplit(f"{scheme}://{user}{at}{place}")  # raises ValueError for a broken address
        if not parts.hostname:
            raise ValueError("a host is missing")
        _ = parts.port  # raises ValueError for what is no port
        if clustered and parts.path.strip("/"):
            raise ValueError("a cluster has no numbered databases")
        if scheme.startswith("redis") and not re.fullmatch(r"/?\d*", parts.path):
            raise ValueError("the path of a Redis address is the number of a database")
    return url
