"""The sections of `config.yaml`: every setting with its default and its bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from city.checked import Section, check_braces, check_timezone, check_topic_filter, listed
from city.i18n import Language
from city.mappings import FeedMapping, check_names

Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
# Facets of `city.events`, and the log of alarms.
ArchiveFeed = Literal[
    "position",
    "vehicle_status",
    "passengers",
    "fuel",
    "camera_event",
    "camera_status",
    "sensor",
    "case",
    "case_list",
    "trip",
    "transition",
]
RollupFeed = Annotated[str, Field(pattern=r"^rollup_(mahalla|district|route|vehicle)_(60|900|3600)$")]
FormatName = Literal["native", "hfp", "gtfs_rt", "waltti_apc", "frigate", "traccar", "owntracks", "cap"]


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


class Rollup(Section):
    by: Literal["mahalla", "district", "route", "vehicle"]
    every_s: Literal[60, 900, 3600]


class History(Section):
    url: Annotated[str, Field(min_length=1)] = "var/history"
    flush_every_s: Annotated[float, Field(gt=0, le=600)] = 20
    flush_rows: Annotated[int, Field(ge=1000, le=2_000_000)] = 200000
    compact_files: Annotated[int, Field(ge=2, le=1000)] = 16
    compact_rows: Annotated[int, Field(ge=1000)] = 2000000
    keep_days: Mapping[ArchiveFeed | RollupFeed, Positive] = Field(default={})
    hold_s: Positive = 3600
    room_min_mb: Annotated[int, Field(ge=0)] = 2048
    engine: Literal["duckdb", "pyspark"] = "duckdb"
    engine_url: str | None = Field(default=None, repr=False)
    query_workers: Annotated[int, Field(ge=1, le=32)] = 2
    query_threads: Annotated[int, Field(ge=1, le=64)] = 1
    query_memory_mb: Annotated[int, Field(ge=64)] = 512
    query_waiting_max: Annotated[int, Field(ge=1, le=1000)] = 16
    query_timeout_s: Positive = 120
    rollups: tuple[Rollup, ...] = (
        Rollup(by="mahalla", every_s=900),
        Rollup(by="district", every_s=900),
        Rollup(by="route", every_s=900),
        Rollup(by="vehicle", every_s=3600),
    )


class Store(Section):
    partitions: Annotated[int, Field(ge=1, le=256)] = 4
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
    batch_window_ms: Annotated[float, Field(ge=0, le=1000)] = 3
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
            "cap": ("cap/+",),
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
    sensors: Annotated[int, Field(ge=0, le=100000)] = 120
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
