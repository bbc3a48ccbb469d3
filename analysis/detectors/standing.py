"""Where a vehicle stands: a spell at one place, for the rules about standing too long.

A satellite fix at rest jitters and a queue creeps, so a vehicle stands until it is away from where it stopped.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.spell import Spell, begin
from analysis.geometry import distance_m
from city.events import VehiclePosition

# A bus that is so far from where it stopped has driven on.
MOVED_M = 50.0
# A fix at rest shows some speed: only so many times the rule's speed is driving, whatever the place says.
TWITCH = 10


class Stand(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A vehicle at one place."""

    lat: float
    lon: float
    spell: Spell

    @property
    def raised_ms(self) -> int | None:
        """When the alarm that stands rose, epoch ms."""
        return self.spell.raised_ms

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return True


def stands(state: Stand, position: VehiclePosition, standing_speed_mps: float) -> bool:
    """Whether the vehicle is still where it stood."""
    speed_mps = position.speed_mps
    if speed_mps is not None and speed_mps > TWITCH * standing_speed_mps:
        return False
    return distance_m(state.lat, state.lon, position.lat, position.lon) <= MOVED_M


def stop(position: VehiclePosition, standing_speed_mps: float) -> Stand | None:
    """The vehicle at its place, if it may stand; without a speed its next places will tell."""
    if position.speed_mps is not None and position.speed_mps > standing_speed_mps:
        return None
    return Stand(lat=position.lat, lon=position.lon, spell=begin(position.vehicle_id, position.measured_ms))


def with_spell(state: Stand, spell: Spell) -> Stand:
    """The same stand, and the same object where nothing changed."""
    return state if spell is state.spell else replace(state, spell=spell)
