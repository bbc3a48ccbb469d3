"""Network failure: several sensors of one network in one area are missing or out of limits at the same time.

One burst pipe or one tripped feeder, not so many broken sensors. There are two rules, of a district
(`network_failure`) and of a mahalla (`network_failure_local`), each with one alarm a network and area. Raised when
`sensors_min` sensors, and `share_min` of all that the network has there, went wrong within `window_s`; cleared when
`sensors_clear` or fewer of those that stand in the alarm still are. What stands longer than `forget_after_s` and is
not told again is forgotten.

It is given what the rules of single sensors find (`Finding`s of `sensor_threshold` and `sensor_missing`), so it needs
them to be enabled, and their delays are its own. Sensors without a network, or outside of all areas, belong to none.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector, Step, Tick
from analysis.detectors.finding import Change, Finding
from city.rules.sensors import NetworkFailure, NetworkFailureLocal

DISTRICT, MAHALLA = "network_failure", "network_failure_local"
OF_SENSORS = ("sensor_threshold", "sensor_missing")
# A network's sensors in an area are counted again after so long: that looks at every sensor of the city.
COUNTED_MS = 60_000
UPDATE_EVERY_MS = 5_000


class NetworkState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One network in one area."""

    network: str
    area: str  # its code
    district: str | None = None  # the area's, of a mahalla
    wrong: dict[str, int] = {}  # alarm of a sensor that stands → since when
    sensors: int = 0  # of the network in the area …
    counted_ms: int | None = None  # … as of then
    updated_ms: int = 0
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return bool(self.wrong)


def wrong_sensors(state: NetworkState, since_ms: int) -> int:
    """How many sensors went wrong at `since_ms` or later and still are; one of several quantities is one."""
    return len({_sensor(name) for name, at_ms in state.wrong.items() if at_ms >= since_ms})


def step_of(name: str) -> Step:
    """The step of the rule `name`."""

    def step(
        state: NetworkState | None, found: Finding, rule: NetworkFailure | NetworkFailureLocal, city: City
    ) -> tuple[NetworkState | None, list[Finding]]:
        """Take in what was found out about a sensor."""
        # A sensor that changes its unit is wrong, not its network.
        if found.change is Change.CLEAR or found.values.get("level") == "unit":
            return (None, []) if state is None else _without(name, state, found, rule)
        if found.change is Change.UPDATE:
            return state, []
        if state is None:
            state = NetworkState(
                network=str(found.values["network"]),
                area=str(found.district if name == DISTRICT else found.mahalla),
                district=found.district,
            )
        if found.at_ms < state.wrong.get(found.alarm_id, 0):
            return state, []
        return _judged(name, replace(state, wrong=state.wrong | {found.alarm_id: found.at_ms}), found.at_ms, rule, city)

    return step


def tick_of(name: str) -> Tick:
    """The tick of the rule `name`."""

    def tick(
        state: NetworkState, now_ms: int, rule: NetworkFailure | NetworkFailureLocal, city: City
    ) -> tuple[NetworkState | None, list[Finding]]:
        """Forget what stands for too long."""
        del city
        oldest_ms = now_ms - int(rule.forget_after_s * 1000)
        if not state.wrong or min(state.wrong.values()) > oldest_ms:
            return state, []
        kept = {one: at_ms for one, at_ms in state.wrong.items() if at_ms > oldest_ms}
        return _remaining(name, replace(state, wrong=kept), now_ms, rule)

    return tick


def _judged(
    name: str, state: NetworkState, at_ms: int, rule: NetworkFailure | NetworkFailureLocal, city: City
) -> tuple[NetworkState, list[Finding]]:
    """The state with one wrong sensor more: does it make a failure of the network?"""
    if state.raised_ms is not None:
        if at_ms - state.updated_ms < UPDATE_EVERY_MS:
            return state, []
        return replace(state, updated_ms=at_ms), [_finding(name, state, Change.UPDATE, at_ms)]
    wrong = wrong_sensors(state, at_ms - int(rule.window_s * 1000))
    if wrong < rule.sensors_min:
        return state, []
    if state.counted_ms is None or abs(at_ms - state.counted_ms) >= COUNTED_MS:
        state = replace(state, sensors=_sensors(name, state, city), counted_ms=at_ms)
    if wrong < rule.share_min * state.sensors:
        return state, []
    state = replace(state, raised_ms=at_ms, updated_ms=at_ms)
    return state, [_finding(name, state, Change.RAISE, at_ms)]


def _without(
    name: str, state: NetworkState, found: Finding, rule: NetworkFailure | NetworkFailureLocal
) -> tuple[NetworkState | None, list[Finding]]:
    if found.at_ms < state.wrong.get(found.alarm_id, found.at_ms + 1):
        return state, []
    kept = {one: at_ms for one, at_ms in state.wrong.items() if one != found.alarm_id}
    return _remaining(name, replace(state, wrong=kept), found.at_ms, rule)


def _remaining(
    name: str, state: NetworkState, at_ms: int, rule: NetworkFailure | NetworkFailureLocal
) -> tuple[NetworkState | None, list[Finding]]:
    findings: list[Finding] = []
    if state.raised_ms is not None and wrong_sensors(state, 0) <= rule.sensors_clear:
        findings.append(_finding(name, state, Change.CLEAR, max(at_ms, state.raised_ms)))
        state = replace(state, raised_ms=None)
    return (state if state.wrong else None), findings


def _sensor(alarm_id: str) -> str:
    return alarm_id.partition(":")[2].rpartition("|")[0]


def _sensors(name: str, state: NetworkState, city: City) -> int:
    """How many sensors the network has in the area, one at least."""
    found = set()
    for reading in city.picture.sensors.values():
        area = reading.district if name == DISTRICT else reading.mahalla
        if area == state.area and reading.network == state.network:
            found.add(reading.sensor_id)
    return max(1, len(found))


def _finding(name: str, state: NetworkState, change: Change, at_ms: int) -> Finding:
    return Finding(
        rule=name,
        change=change,
        source_kind="area",
        source_id=state.area,
        key=f"{state.network}|{state.area}",
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={"network": state.network, "sensors": wrong_sensors(state, 0), "of": state.sensors},
        district=state.district,
        mahalla=state.area if name == MAHALLA else None,
    )


def _key_of(name: str) -> Callable[[Finding], str | None]:
    def key(found: Finding) -> str | None:
        area = found.district if name == DISTRICT else found.mahalla
        network = found.values.get("network")
        return f"{network}|{area}" if found.rule in OF_SENSORS and network and area else None

    return key


DETECTORS = tuple(
    Detector(
        rule=name,
        state=NetworkState,
        takes=(Finding,),
        key=_key_of(name),
        step=step_of(name),
        tick=tick_of(name),
    )
    for name in (DISTRICT, MAHALLA)
)
