"""The newest word on every trip, and which of them is a vehicle's."""

from __future__ import annotations

from dataclasses import dataclass, field

from city.events import TripUpdate, VehicleStatus

# The trips of a country's day; those told longest ago are forgotten first.
TRIPS_MAX = 50_000
# Feeds repeat their trip updates every minute or so; an older one says nothing of a vehicle that goes on speaking.
KEPT_MS = 600_000


@dataclass(slots=True)
class Trips:
    """Newest-wins state of the trips that are told of, bounded."""

    by_key: dict[str, TripUpdate] = field(default_factory=dict)
    by_vehicle: dict[str, TripUpdate] = field(default_factory=dict)

    def apply(self, update: TripUpdate) -> bool:
        """Take an update in; False if something newer was known already."""
        known = self.by_key.get(update.key)
        if known is not None and known.measured_ms > update.measured_ms:
            return False
        _put(self.by_key, update.key, update)
        if update.vehicle_id is not None and _is_sooner(update, self.by_vehicle.get(update.vehicle_id)):
            _put(self.by_vehicle, update.vehicle_id, update)
        return True

    def of(self, vehicle_id: str, newest: VehicleStatus) -> TripUpdate | None:
        """The update of the trip that a vehicle is on.

        That is the trip that the vehicle names; where it names none, the update names the vehicle.
        """
        if newest.trip is None:
            found = self.by_vehicle.get(vehicle_id)
        else:
            found = self.by_key.get(f"{newest.trip}|{newest.trip_start_time}") or self.by_key.get(newest.trip)
            # Of a trip with several runs the vehicle may leave its own start unsaid.
            named = self.by_vehicle.get(vehicle_id)
            if found is None and named is not None and named.trip == newest.trip:
                found = named
        if found is None or found.vehicle_id not in (None, vehicle_id):
            return None
        return found if abs(newest.measured_ms - found.measured_ms) <= KEPT_MS else None


def _is_sooner(update: TripUpdate, known: TripUpdate | None) -> bool:
    """Whether an update takes the place of the known one of its vehicle.

    One message tells of the trip that the vehicle is on and of those after it: the first of them is meant.
    """
    if known is None or update.measured_ms != known.measured_ms:
        return known is None or update.measured_ms > known.measured_ms
    return update.key == known.key or _start(update) < _start(known)


def _start(update: TripUpdate) -> tuple[str, str]:
    return update.trip_start_date or "", update.trip_start_time or ""


def _put(updates: dict[str, TripUpdate], key: str, update: TripUpdate) -> None:
    updates.pop(key, None)
    updates[key] = update
    if len(updates) > TRIPS_MAX:
        del updates[next(iter(updates))]
