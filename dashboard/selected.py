"""What the panel says of a selected vehicle, camera or area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from analysis.indicators import AreaIndicators
from analysis.kpis import MPS_TO_KMH, camera_state
from analysis.picture import Camera, Vehicle
from analysis.samples import AREAS, VEHICLES, area_in, vehicle_in
from analysis.trend import HOUR_MS
from city.alarms import Alarm
from city.areas import Area, AreaKind, Areas
from city.config import Config
from city.i18n import Translator
from city.store import Store, StoreDown, StoredReject, StoreRefused, now_ms
from dashboard.feed import CityState
from layouts.figures import Line
from layouts.panel import Note, Panel, Row, kind_words

_ALARMS_SHOWN = 6
_EVENTS_SHOWN = 6
_REJECTS_SEARCHED = 500
_REJECTS_SHOWN = 8
_PAYLOAD_SHOWN = 300  # bytes; the API gives the whole message

Indicators = Mapping[str, AreaIndicators]


class Past(Struct, frozen=True, kw_only=True):
    """What only the store knows of a selection; read in a thread, because it may have to wait."""

    lines: tuple[Line, ...] = ()
    rejects: Sequence[StoredReject] = ()


def past(value: Any, store: Store, t: Translator) -> Past:
    """The last hour of a vehicle or an area, the last rejects of a feed; empty if the store is away."""
    kind, item = _kind_and_id(value)
    try:
        if kind == "vehicle":
            return Past(lines=_vehicle_hour(item, store.samples(VEHICLES, now_ms() - HOUR_MS), t))
        if kind == "area":
            return Past(lines=_area_hour(item, store.samples(AREAS, now_ms() - HOUR_MS), t))
        if kind == "feed":
            recent = store.rejects(limit=_REJECTS_SEARCHED)
            return Past(rejects=[reject for reject in recent if reject.feed == item][:_REJECTS_SHOWN])
    except (StoreDown, StoreRefused):
        pass  # the banner says so; the panel still shows what is in memory
    return Past()


def selected(
    value: Any, config: Config, areas: Areas, state: CityState, found: Indicators, before: Past | None, t: Translator
) -> Panel | None:
    """The panel of `value` ({kind, id}); None if nothing is selected.

    What is not known (any more) gets a panel that says so.
    """
    kind, item = _kind_and_id(value)
    before = before or Past()
    if kind == "":
        return None
    if kind == "vehicle" and item in state.picture.vehicles:
        return _vehicle(state.picture.vehicles[item], config, areas, state, before, t)
    if kind == "camera" and item in state.picture.cameras:
        return _camera(state.picture.cameras[item], config, areas, state, t)
    if kind == "area" and item in areas.by_code:
        return _area(areas.by_code[item], config, state, found, before, t)
    if kind == "feed":
        return _feed(item, state, before, t)
    return Panel(title=item[:64], subtitle=t("panel.unknown", id=item[:64]), rows=(), alarms=())


def _kind_and_id(value: Any) -> tuple[str, str]:
    """What the browser says is selected; empty words for nothing or nonsense."""
    if not isinstance(value, dict):
        return "", ""
    kind, item = value.get("kind"), value.get("id")
    return (kind, item) if isinstance(kind, str) and isinstance(item, str) else ("", "")


def _vehicle(vehicle: Vehicle, config: Config, areas: Areas, state: CityState, before: Past, t: Translator) -> Panel:
    now = now_ms()
    position, newest, count, fuel = vehicle.position, vehicle.newest, vehicle.passengers, vehicle.fuel
    rows: list[Row] = []

    def add(label: str, words: str | None, measured_ms: int | None = None) -> None:
        if words is not None:
            rows.append(
                Row(label=label, value=words, age_s=None if measured_ms is None else (now - measured_ms) / 1000)
            )

    if newest is not None:
        at = newest.measured_ms
        if newest.speed_mps is not None:
            add("speed", f"{newest.speed_mps * MPS_TO_KMH:.0f} {t('unit.kmh')}", at)
        deviation_s = vehicle.schedule_deviation_s
        if deviation_s is not None:
            add("panel.schedule", _deviation(deviation_s, t), at)
        if newest.doors_open is not None:
            add("panel.doors", t("panel.open" if newest.doors_open else "panel.shut"), at)
        if newest.ignition is not None:
            add("panel.ignition", t("panel.on" if newest.ignition else "panel.off"), at)
    if count is not None and count.onboard is not None:
        capacity = vehicle.capacity(config.kpis.capacity_default)
        estimated = f" ({t('panel.estimated')})" if count.estimated else ""
        load = vehicle.load(config.kpis.capacity_default) or 0
        add("panel.passengers", f"{count.onboard} / {capacity} · {load * 100:.0f} %{estimated}", count.measured_ms)
    if fuel is not None:
        add("fuel", _fuel(vehicle, t), fuel.measured_ms)
    if position is not None:
        add("panel.district", _name(areas, position.district, t) or t("panel.no_district"), position.measured_ms)
        add("panel.mahalla", _name(areas, position.mahalla, t) or t("panel.no_mahalla"), position.measured_ms)
        add("panel.position", f"{position.lat:.5f}, {position.lon:.5f}", position.measured_ms)
    if newest is not None:
        add("panel.trip", newest.trip)
        add(
            "panel.odometer",
            None if newest.odometer_m is None else f"{t.number(newest.odometer_m / 1000)} {t('unit.km')}",
        )
        add("panel.vin", newest.vin)
    words = [
        t(f"mode.{newest.mode}")
        if newest and newest.mode in ("bus", "trolleybus", "tram")
        else (newest.mode if newest else None)
    ]
    if newest is not None and newest.route:
        words.append(t("route", route=newest.route) + (f" → {newest.direction}" if newest.direction else ""))
    return Panel(
        title=vehicle.vehicle_id,
        subtitle=" · ".join(word for word in words if word),
        rows=rows,
        alarms=_alarms(state, "vehicle", vehicle.vehicle_id),
        lines=before.lines,
        axis=t("unit.kmh"),
        second_axis="%",
    )


def _camera(camera: Camera, config: Config, areas: Areas, state: CityState, t: Translator) -> Panel:
    now = now_ms()
    status = camera.status
    rows: list[Row] = []
    if status is not None:
        how = camera_state(camera, now, config.live.camera_stale_after_s)
        words = t("stale") if how == "unknown" else t(f"panel.{how}")
        rows.append(Row(label="panel.status", value=words, age_s=(now - status.measured_ms) / 1000))
        rows += [
            Row(label="panel.district", value=_name(areas, status.district, t) or t("panel.no_district")),
            Row(label="panel.mahalla", value=_name(areas, status.mahalla, t) or t("panel.no_mahalla")),
        ]
        if status.stream_url:
            rows.append(Row(label="panel.stream", value=status.stream_url))
    newest = sorted(camera.events.values(), key=lambda event: -event.measured_ms)
    for event in newest[:_EVENTS_SHOWN]:
        words = f"{event.count}" if event.count is not None else "✓"
        rows.append(Row(label=kind_words(event.kind, t), value=words, age_s=(now - event.measured_ms) / 1000))
    title = status.name if status is not None and status.name else camera.camera_id
    return Panel(
        title=title,
        subtitle=f"{t('camera')} {camera.camera_id}",
        rows=rows,
        alarms=_alarms(state, "camera", camera.camera_id),
    )


def _area(area: Area, config: Config, state: CityState, everywhere: Indicators, before: Past, t: Translator) -> Panel:
    now = now_ms()
    found = everywhere.get(area.code)
    field = "district" if area.kind is AreaKind.DISTRICT else "mahalla"
    inside = [v for v in state.picture.vehicles.values() if v.position and getattr(v.position, field) == area.code]
    newest_ms = max((v.position.measured_ms for v in inside if v.position), default=None)
    age_s = None if newest_ms is None else (now - newest_ms) / 1000
    cameras = [c for c in state.picture.cameras.values() if c.status and getattr(c.status, field) == area.code]
    online = sum(camera_state(c, now, config.live.camera_stale_after_s) == "online" for c in cameras)
    rows = [Row(label="vehicles", value=str(found.vehicles if found else 0), age_s=age_s)]
    if found is not None and found.onboard is not None:
        rows.append(Row(label="panel.onboard", value=str(found.onboard)))
    if found is not None and found.load is not None:
        rows.append(Row(label="load", value=f"{found.load * 100:.0f} %"))
    if found is not None and found.speed_kmh is not None:
        rows.append(Row(label="speed", value=f"{found.speed_kmh:.0f} {t('unit.kmh')}"))
    if cameras:
        rows.append(Row(label="panel.cameras", value=f"{online} / {len(cameras)}"))
    if area.area_ha is not None:
        rows.append(Row(label="panel.area", value=t("panel.hectares", n=t.number(area.area_ha))))
    alarms = [a for a in state.alarms.values() if getattr(a, field) == area.code]
    return Panel(
        title=area.name(t.language),
        subtitle=f"{t(area.kind.value)} · {area.code}",
        rows=rows,
        alarms=_ranked(alarms),
        lines=before.lines,
        axis=t("unit.kmh"),
        second_axis="%",
    )


def _feed(feed: str, state: CityState, before: Past, t: Translator) -> Panel:
    now = now_ms()
    rows: list[Row] = []
    for known in state.rates.feeds(now):
        if known.count.feed == feed:
            count = known.count
            rows = [
                Row(label="panel.received", value=t.number(count.received), age_s=known.age_s),
                Row(label="panel.stored", value=t.number(count.stored)),
                Row(label="panel.late", value=t.number(count.late)),
                *(Row(label=f"reject.{reason}", value=t.number(n)) for reason, n in count.rejected.items()),
            ]
    notes = [
        Note(
            head=t(f"reject.{reject.reason}"),
            words=reject.detail,
            source=f"{reject.topic}\n{reject.payload[:_PAYLOAD_SHOWN].decode('utf-8', 'backslashreplace')}",
            age_s=(now - reject.received_ms) / 1000,
        )
        for reject in before.rejects
    ]
    return Panel(title=t(f"feed.{feed}"), subtitle=feed, rows=rows, alarms=_alarms(state, "feed", feed), notes=notes)


def _vehicle_hour(vehicle_id: str, samples: Sequence[tuple[int, bytes]], t: Translator) -> tuple[Line, ...]:
    times = [at for at, _ in samples]
    of_one = [vehicle_in(sample, vehicle_id) for _, sample in samples]
    if not any(of_one):
        return ()
    return (
        Line(name=t("speed"), times_ms=times, values=[s.speed_kmh if s else None for s in of_one]),
        Line(
            name=t("load"), times_ms=times, values=[_percent(s.load) if s else None for s in of_one], second_axis=True
        ),
        Line(name=t("fuel"), times_ms=times, values=[s.fuel_pct if s else None for s in of_one], second_axis=True),
    )


def _area_hour(code: str, samples: Sequence[tuple[int, bytes]], t: Translator) -> tuple[Line, ...]:
    times = [at for at, _ in samples]
    of_one = [area_in(sample, code) for _, sample in samples]
    if not any(of_one):
        return ()
    return (
        Line(name=t("speed"), times_ms=times, values=[s.speed_kmh if s else None for s in of_one]),
        Line(
            name=t("load"), times_ms=times, values=[_percent(s.load) if s else None for s in of_one], second_axis=True
        ),
    )


def _alarms(state: CityState, kind: str, item: str) -> list[Alarm]:
    return _ranked([a for a in state.alarms.values() if a.source_kind == kind and a.source_id == item])


def _ranked(alarms: list[Alarm]) -> list[Alarm]:
    return sorted(alarms, key=lambda a: (not a.announced, -a.raised_ms))[:_ALARMS_SHOWN]


def _name(areas: Areas, code: str | None, t: Translator) -> str | None:
    return areas.by_code[code].name(t.language) if code in areas.by_code else code


def _deviation(seconds: float, t: Translator) -> str:
    minutes = round(abs(seconds) / 60)
    if minutes == 0:
        return t("panel.on_time")
    return t("panel.ahead" if seconds > 0 else "panel.behind", minutes=minutes)


def _fuel(vehicle: Vehicle, t: Translator) -> str | None:
    fuel, percent = vehicle.fuel, vehicle.fuel_pct
    parts = []
    if fuel is not None and fuel.level_l is not None:
        parts.append(f"{fuel.level_l:.0f} {t('unit.litres')}")
    if percent is not None:
        parts.append(f"{percent:.0f} %")
    return " · ".join(parts) or None


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio * 100)
