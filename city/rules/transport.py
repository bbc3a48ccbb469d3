"""Alarm rules of vehicles and routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from city.checked import Section
from city.rules.rule import NotNegative, Positive, Priority, Rule

Count = Annotated[int, Field(ge=1, le=100)]


class FuelDrop(Rule):
    priority: Priority = "high"
    drop_min_l: Positive = 6  # so that of 8 litres none is missed for the gauge's trembling
    window_s: Positive = 900
    standing_speed_mps: Positive = 0.5
    confirm_readings: Count = 3
    clear_after_s: Positive = 3600


class Refuel(Rule):
    priority: Priority = "journal"
    acknowledge: bool = False
    rise_min_l: Positive = 20
    window_s: Positive = 3600
    standing_speed_mps: Positive = 0.5
    confirm_readings: Count = 3
    settle_s: Positive = 120


class ExcessiveUse(Rule):
    priority: Priority = "low"
    min_km: Annotated[float, Field(ge=10)] = 100
    factor_max: Annotated[float, Field(gt=1)] = 1.4
    factor_clear: Annotated[float, Field(gt=0)] = 1.2
    baseline_windows: Annotated[int, Field(ge=3, le=15)] = 5

    @model_validator(mode="after")
    def _hysteresis(self) -> ExcessiveUse:
        if self.factor_clear > self.factor_max:
            raise ValueError("factor_clear must not be above factor_max")
        return self


class Overload(Rule):
    priority: Priority = "medium"
    load_max: Positive = 1.2
    load_clear: Positive = 1.0
    on_delay_s: NotNegative = 300
    forget_after_s: Positive = 1800

    @model_validator(mode="after")
    def _hysteresis(self) -> Overload:
        if self.load_clear > self.load_max:
            raise ValueError("load_clear must not be above load_max")
        return self


class Overspeed(Rule):
    priority: Priority = "medium"
    speed_max_mps: Positive = 19.5
    deadband_mps: NotNegative = 1.5
    on_delay_s: NotNegative = 15
    forget_after_s: Positive = 300

    @model_validator(mode="after")
    def _hysteresis(self) -> Overspeed:
        if self.deadband_mps >= self.speed_max_mps:
            raise ValueError("deadband_mps must be below speed_max_mps")
        return self


class OffRoute(Rule):
    priority: Priority = "medium"
    distance_max_m: Positive = 200
    distance_clear_m: Positive = 100
    on_delay_s: NotNegative = 60
    forget_after_s: Positive = 600

    @model_validator(mode="after")
    def _hysteresis(self) -> OffRoute:
        if self.distance_clear_m > self.distance_max_m:
            raise ValueError("distance_clear_m must not be above distance_max_m")
        return self


class LongStop(Rule):
    priority: Priority = "medium"
    stand_max_s: Positive = 420
    standing_speed_mps: Positive = 0.5
    stop_within_m: Positive = 60
    terminal_within_m: Positive = 200
    forget_after_s: Positive = 1800


class Idling(Rule):
    priority: Priority = "low"
    idle_max_s: Positive = 900
    standing_speed_mps: Positive = 0.5
    terminals: bool = False
    terminal_within_m: Positive = 200
    forget_after_s: Positive = 1800


class ScheduleDeviation(Rule):
    priority: Priority = "low"
    late_max_s: Positive = 900
    early_max_s: Positive = 300
    deadband_s: NotNegative = 90
    on_delay_s: NotNegative = 300
    forget_after_s: Positive = 600

    @model_validator(mode="after")
    def _hysteresis(self) -> ScheduleDeviation:
        if self.deadband_s >= min(self.late_max_s, self.early_max_s):
            raise ValueError("deadband_s must be below late_max_s and early_max_s")
        return self


class Headway(Rule):
    """What bunching and gaps have in common."""

    priority: Priority = "low"
    stop_within_m: Annotated[float, Field(gt=0, le=80)] = 45
    confirm_stops: Annotated[int, Field(ge=1, le=20)] = 4
    usual_min_s: NotNegative = 180
    break_after_s: Positive = 3600
    clear_after_s: Positive = 900


class Bunching(Headway):
    share_min: Annotated[float, Field(gt=0, lt=1)] = 0.25
    share_clear: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _hysteresis(self) -> Bunching:
        if self.share_clear < self.share_min:
            raise ValueError("share_clear must not be below share_min")
        return self


class Gap(Headway):
    share_max: Annotated[float, Field(gt=1)] = 1.75
    share_clear: Annotated[float, Field(gt=1)] = 1.5
    longer_min_s: NotNegative = 240

    @model_validator(mode="after")
    def _hysteresis(self) -> Gap:
        if self.share_clear > self.share_max:
            raise ValueError("share_clear must not be above share_max")
        return self


class Fence(Section):
    """A place that vehicles must not enter, or not leave: a polygon, or districts and mahallas by their codes."""

    when: Literal["enters", "leaves"] = "enters"
    polygon: tuple[tuple[float, float], ...] = ()  # [lon, lat] pairs, three or more
    areas: tuple[str, ...] = ()
    vehicles: tuple[str, ...] = ()  # none: all
    routes: tuple[str, ...] = ()  # none: all

    @field_validator("areas", "vehicles", "routes", mode="before")
    @classmethod
    def _texts(cls, given: object) -> object:
        return tuple(str(one) for one in given) if isinstance(given, list | tuple) else given

    @field_validator("polygon")
    @classmethod
    def _encloses(cls, polygon: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not polygon:
            return polygon
        if len(set(polygon)) < 3:
            raise ValueError("a polygon needs three points")
        if not all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in polygon):
            raise ValueError("a polygon is made of [lon, lat] pairs in degrees")
        import shapely  # noqa: PLC0415 - heavy, and only here

        shape = shapely.Polygon(polygon)
        if not shape.is_valid:
            raise ValueError(f"not a polygon: {shapely.is_valid_reason(shape)}")
        return polygon

    @model_validator(mode="after")
    def _somewhere(self) -> Fence:
        if bool(self.polygon) == bool(self.areas):
            raise ValueError("a fence has either a polygon or areas")
        return self


class Geofence(Rule):
    priority: Priority = "high"
    fences: Mapping[str, Fence] = Field(default={})
    on_delay_s: NotNegative = 10
    forget_after_s: Positive = 3600


class VehicleSilent(Rule):
    priority: Priority = "low"
    suppressed_by: tuple[str, ...] = ("feed_silent",)
    silent_after_s: Positive = 300
    active_within_s: Positive = 300
    forget_after_s: Positive = 7200
