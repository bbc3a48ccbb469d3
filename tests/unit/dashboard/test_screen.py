"""When the screens are told what: alarms at once after a calm, together in a storm."""

from __future__ import annotations

import asyncio
from pathlib import Path

from city.alarms import Alarm, AlarmPriority, AlarmState
from city.areas import Areas
from city.config import load_config
from dashboard.screen import Screen

ROOT = Path(__file__).parents[3]
NOWHERE = {"MARKAZ_REDIS__URL": "redis://127.0.0.1:1/0", "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}


def alarm(number: int) -> Alarm:
    return Alarm(
        id=f"r:{number}",
        rule="r",
        priority=AlarmPriority.LOW,
        source_kind="sensor",
        source_id=str(number),
        state=AlarmState.UNACKNOWLEDGED,
        active=True,
        version=1,
    )


def test_a_storm_of_alarms_is_a_few_frames_and_the_last_one_has_them_all() -> None:
    async def storm() -> list[int]:
        screen = Screen(load_config(ROOT / "config.yaml", NOWHERE), Areas([]))
        totals: list[int] = []
        put = screen.frames.put

        def noted(name: str, frame: dict[str, int]) -> None:
            if name == "alarms":
                totals.append(frame["total"])
            put(name, frame)

        screen.frames.put = noted  # type: ignore[method-assign, assignment]
        for number in range(100):
            screen.state.alarms[f"r:{number}"] = alarm(number)
            screen._send_alarms()
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.6)
        screen.stop()
        return totals

    totals = asyncio.run(storm())
    assert totals[0] == 1, "the first at once"
    assert totals[-1] == 100
    assert len(totals) < 10
