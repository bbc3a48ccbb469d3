"""The alarms that stand or stood not long ago, and what a finding makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.finding import Change, Finding
from analysis.picture import Picture
from city.alarms import Alarm, AlarmPriority


class Place(Struct, frozen=True, kw_only=True):
    """Where an alarm's source is; None where nothing says."""

    lat: float | None = None
    lon: float | None = None
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None


@dataclass(slots=True)
class AlarmBook:
    """Alarms by id. A finding that was taken before changes nothing: events may be read twice."""

    alarms: dict[str, Alarm] = field(default_factory=dict)

    def restore(self, alarms: Iterable[Alarm]) -> None:
        """Know these alarms; of one known already, the later change wins."""
        for alarm in alarms:
            known = self.alarms.get(alarm.id)
            if known is None or (alarm.updated_ms, alarm.cleared_ms or 0) > (known.updated_ms, known.cleared_ms or 0):
                self.alarms[alarm.id] = alarm

    def take(self, finding: Finding, priority: str, place: Place) -> Alarm | None:
        """The alarm as the finding leaves it, None if that was known."""
        known = self.alarms.get(finding.alarm_id)
        match finding.change:
            case Change.RAISE if known is None:
                alarm = _risen(finding, priority, place)
            case Change.UPDATE if known and known.cleared_ms is None and finding.at_ms > known.updated_ms:
                alarm = replace(known, updated_ms=finding.at_ms, values=finding.values)
            case Change.CLEAR if known and known.cleared_ms is None:
                alarm = replace(
                    known,
                    updated_ms=max(finding.at_ms, known.updated_ms),
                    cleared_ms=max(finding.at_ms, known.raised_ms),
                    values={**known.values, **finding.values},
                )
            case _:
                return None
        self.alarms[alarm.id] = alarm
        return alarm

    def end(self, alarm: Alarm, at_ms: int) -> Alarm:
        """Clear an alarm that no detector holds any more."""
        ended = replace(alarm, updated_ms=max(at_ms, alarm.updated_ms), cleared_ms=max(at_ms, alarm.raised_ms))
        self.alarms[ended.id] = ended
        return ended

    def reopen(self, alarm: Alarm, at_ms: int) -> Alarm:
        """Let an alarm stand again that its detector still holds."""
        stands = replace(alarm, updated_ms=max(at_ms, alarm.updated_ms), cleared_ms=None)
        self.alarms[stands.id] = stands
        return stands

    def open(self) -> list[Alarm]:
        """The alarms that stand."""
        return [alarm for alarm in self.alarms.values() if alarm.cleared_ms is None]

    def forget(self, cleared_before_ms: int) -> list[str]:
        """Drop alarms that cleared before then; their ids."""
        gone = [
            alarm.id
            for alarm in self.alarms.values()
            if alarm.cleared_ms is not None and alarm.cleared_ms < cleared_before_ms
        ]
        for one in gone:
            del self.alarms[one]
        return gone


def place_of(picture: Picture, source_kind: str, source_id: str) -> Place:
    """Where a vehicle was last, or where a camera stands; feeds are nowhere."""
    if source_kind == "vehicle" and (vehicle := picture.vehicles.get(source_id)):
        at, newest = vehicle.position, vehicle.newest
        route = newest.route if newest else None
        if at is None:
            return Place(route=route)
        return Place(lat=at.lat, lon=at.lon, district=at.district, mahalla=at.mahalla, route=route or at.route)
    if source_kind == "camera" and (camera := picture.cameras.get(source_id)) and camera.status:
        status = camera.status
        return Place(lat=status.lat, lon=status.lon, district=status.district, mahalla=status.mahalla)
    return Place()


def _risen(finding: Finding, priority: str, place: Place) -> Alarm:
    return Alarm(
        id=finding.alarm_id,
        rule=finding.rule,
        priority=AlarmPriority(priority),
        source_kind=finding.source_kind,
        source_id=finding.source_id,
        raised_ms=finding.raised_ms,
        updated_ms=finding.at_ms,
        lat=place.lat,
        lon=place.lon,
        district=place.district,
        mahalla=place.mahalla,
        route=place.route,
        values=finding.values,
    )
