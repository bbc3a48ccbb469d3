"""Which messages a worker takes, and under which name."""

from __future__ import annotations

from pathlib import Path

import pytest

from city.config import Config, ConfigError, load_config
from ingest.share import Share

ROOT = Path(__file__).resolve().parents[3]
PARTS = '{gps: ["markaz/v1/{city}/vehicle/+/position"], rest: ["markaz/v1/{city}/camera/#", gtfs-rt/+]}'


def configured(**settings: str) -> Config:
    given = {f"MARKAZ_INGEST__{name}": value for name, value in settings.items()}
    return load_config(ROOT / "config.yaml", {"MARKAZ_MQTT__URL": "mqtt://broker"} | given)


def test_the_only_worker_takes_every_configured_topic() -> None:
    share = Share.of(configured(), None)
    assert share.worker == "markaz-tashkent"
    assert {"markaz/v1/tashkent/#", "/hfp/v2/#", "frigate/events", "frigate/reviews"} <= set(share.topics)
    assert len(share.topics) == len(set(share.topics))
    assert share.alone


def test_workers_of_a_shared_subscription_take_the_same_topics_in_turns_under_names_of_their_own() -> None:
    config = configured(SHARE="centre")
    one, two = (Share.of(config, name) for name in ("a", "b"))
    assert (one.worker, two.worker) == ("markaz-tashkent-a", "markaz-tashkent-b")
    assert one.topics == two.topics
    assert one.topics == tuple(f"$share/centre/{topic}" for topic in Share.of(configured(), None).topics)
    assert not one.alone, "the other hears the same vehicles"


def test_a_shared_subscription_asks_every_worker_for_a_name() -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        Share.of(configured(SHARE="centre"), None)


def test_a_worker_of_a_part_takes_that_part_alone() -> None:
    share = Share.of(configured(PARTS=PARTS), "rest")
    assert share.worker == "markaz-tashkent-rest"
    assert share.topics == ("markaz/v1/tashkent/camera/#", "gtfs-rt/+")
    assert share.alone


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'gpx' is not a part of ingest.parts .*gps, rest"):
        Share.of(configured(PARTS=PARTS), "gpx")
    with pytest.raises(ConfigError, match="there: none"):
        Share.of(configured(), "gps")


def test_a_name_that_no_broker_need_take_is_refused() -> None:
    """MQTT 3.1.1 (3.1.3.1) lets a broker refuse a client id of more than 23 characters."""
    config = configured(SHARE="centre")
    assert Share.of(config, "1234567").worker == "markaz-tashkent-1234567"
    with pytest.raises(ConfigError, match="longer than 23"):
        Share.of(config, "12345678")
