"""The command line: what is started, and how a mistake ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from markaz.cli import COMMANDS, config_path, main

ROOT = Path(__file__).parents[3]
CITY = "cities: {tashkent: {names: {en: Tashkent}, bounds: [69, 41, 70, 42], timezone: Asia/Tashkent}}\n"


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MARKAZ_CONFIG", "MARKAZ_MQTT__URL", "MARKAZ_REDIS__URL", "MARKAZ_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "words", [[command.name] for command in COMMANDS] + [["geo", "import"], ["gtfs", "export"], []]
)
def test_every_command_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert "usage: markaz" in capsys.readouterr().out


@pytest.mark.parametrize("command", [command.name for command in COMMANDS if command.name not in ("geo", "gtfs")])
def test_bad_settings_end_every_command_with_one_line_and_code_2(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CITY + "http: {prot: 80}")
    arguments = ["some.dump"] if command == "replay" else []
    assert main([command, "--config", str(file), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("markaz: config.yaml: http.prot: unknown key")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(("command", "part"), [("ingest", "broker"), ("alarms", "store"), ("simulate", "broker")])
def test_a_process_without_its_server_says_how_to_start_one(
    command: str, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CITY)
    assert main([command, "--config", str(file)]) == 2
    assert f"no embedded {part} is running: start `markaz up` or set MARKAZ_" in capsys.readouterr().err


def test_no_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


def test_settings_are_looked_for_from_near_to_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_path(None) == ROOT / "config.yaml"
    (tmp_path / "config.yaml").touch()
    assert config_path(None) == Path("config.yaml")
    monkeypatch.setenv("MARKAZ_CONFIG", "/etc/markaz/config.yaml")
    assert config_path(None) == Path("/etc/markaz/config.yaml")
    assert config_path(Path("given.yaml")) == Path("given.yaml")


def test_help_does_not_load_the_heavy_libraries() -> None:
    """`markaz --help` answers at once: no map, no numbers, no client is imported."""
    code = "import sys, markaz.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    for heavy in ("pandas", "numpy", "dash", "paho", "redis", "geopandas"):
        assert f"'{heavy}'" not in done.stdout
