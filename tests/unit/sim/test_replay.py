"""The replayer: its pace, and the times that it writes into messages."""

from __future__ import annotations

import argparse
import json
import threading
import time
from datetime import datetime
from pathlib import Path

from sim.replay import Replay


class Link:
    """A broker that takes everything at once."""

    connected = True
    unacknowledged = 0

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def pump(self, wait_s: float) -> None:
        time.sleep(min(wait_s, 0.01))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.sent.append((topic, payload))

    def close(self, timeout_s: float) -> bool:
        return True


def recording(path: Path, seconds: list[int]) -> Path:
    lines = []
    for second in seconds:
        at = f"2023-10-29T13:{second // 60:02}:{second % 60:02}.000Z"
        payload = json.dumps({"VP": {"tst": at, "lat": None}})
        lines.append(f"{at} /hfp/v2/journey/ongoing/vp/bus/0012/1/1/1/To the city/15:21/1/4/60;24/1/7/1 {payload}\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def play(path: Path, *, speed: float = 100.0, longest_s: float = 3000, loop: bool = False, limit: int | None = None):  # type: ignore[no-untyped-def]
    link = Link()
    arguments = argparse.Namespace(file=path, speed=speed, times="shift", loop=loop, limit=limit, encode_spaces=True)
    code = Replay(link, arguments, None, threading.Event(), longest_s=longest_s).play()  # type: ignore[arg-type]
    times = [datetime.fromisoformat(json.loads(payload)["VP"]["tst"]).timestamp() for _, payload in link.sent]
    return code, times, link


def test_played_faster_the_gaps_stay_true_and_the_end_is_now(tmp_path: Path) -> None:
    code, times, link = play(recording(tmp_path / "a.dump", [0, 10, 60]))
    assert code == 0
    assert [round(later - times[0]) for later in times] == [0, 10, 60]
    assert abs(times[-1] - time.time()) < 2
    assert " " not in link.sent[0][0]


def test_a_recording_too_long_to_lie_in_the_past_is_compressed(tmp_path: Path) -> None:
    _, times, _ = play(recording(tmp_path / "a.dump", [0, 100]), longest_s=60)
    assert 0.9 < times[1] - times[0] < 1.1


def test_played_in_a_loop_no_time_goes_back(tmp_path: Path) -> None:
    _, times, _ = play(recording(tmp_path / "a.dump", [0, 10]), loop=True, limit=6)
    assert len(times) == 6
    assert times == sorted(times)


def test_a_file_without_one_good_line_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.dump"
    path.write_text("not a recording\n", encoding="utf-8")
    code, times, _ = play(path)
    assert (code, times) == (1, [])
