"""The files of deploy/ say what is true of this version: options that exist, the label that OpenRecon reads."""

from __future__ import annotations

import base64
import configparser
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from knerve.cli import app
from knerve.server.pipelines import DEFAULT, PIPELINES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
LABEL = "com.siemens-healthineers.magneticresonance.openrecon.metadata:1.1.0"


def _unit() -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "knerve.service")
    return unit


def _dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def _parsed(arguments: list[str]) -> dict[str, object]:
    """What `knerve serve` makes of these arguments; fails where one is unknown."""
    command = typer.main.get_command(app)
    serve = command.get_command(None, "serve")
    return serve.make_context("serve", arguments).params


def test_the_label_of_the_image_is_the_one_beside_it() -> None:
    found = re.search(rf'LABEL "{re.escape(LABEL)}"="([A-Za-z0-9+/=]+)"', _dockerfile())
    label = json.loads((DEPLOY / "openrecon.json").read_text(encoding="utf-8"))
    expected = base64.b64encode(json.dumps(label, separators=(",", ":")).encode()).decode()
    assert found[1] == expected, "put the expected text into deploy/Dockerfile"


def test_the_label_tells_this_version() -> None:
    label = json.loads((DEPLOY / "openrecon.json").read_text(encoding="utf-8"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert label["general"]["version"] == version
    assert label["general"]["regulatory_information"]["production_identifier"] == version
    assert re.fullmatch(r"\d+\.\d+\.\d+", version), "scanners take no other versions"
    assert label["reconstruction"]["content_qualification_type"] == "RESEARCH"
    assert (label["reconstruction"]["emitter"], label["reconstruction"]["injector"]) == ("raw", "image")
    (config,) = [parameter for parameter in label["parameters"] if parameter["id"] == "config"]
    assert config["type"] == "choice"
    assert config["default"] == DEFAULT
    assert [value["id"] for value in config["values"]] == list(PIPELINES)
    assert all(re.fullmatch("[A-Za-z0-9]+", parameter["id"]) for parameter in label["parameters"])


def test_the_image_starts_the_server_on_the_port_of_its_label() -> None:
    program, command, *arguments = json.loads(re.search(r"^CMD (\[.*\])$", _dockerfile(), re.MULTILINE)[1])
    assert (program, command) == ("knerve", "serve")
    label = json.loads((DEPLOY / "openrecon.json").read_text(encoding="utf-8"))
    given = _parsed(arguments)
    assert given["port"] == label["reconstruction"]["port"]
    assert f"127.0.0.1:{given['status_port']}/livez" in _dockerfile()
    assert f"VOLUME {given['spool'].parent}\n" in _dockerfile()


def test_the_unit_drains_before_it_is_killed() -> None:
    service = _unit()["Service"]
    _, command, *arguments = service["ExecStart"].split()
    assert command == "serve"
    assert arguments.pop() == "$KNERVE_OPTIONS"
    given = _parsed(arguments)
    assert given["drain"] + 20 < int(service["TimeoutStopSec"])
    assert service["KillMode"] == "mixed"
    assert service["OOMPolicy"] == "continue"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit() -> None:
    run = subprocess.run(
        ("systemd-analyze", "verify", str(DEPLOY / "knerve.service")), capture_output=True, text=True, check=False
    )
    complaints = [line for line in run.stderr.splitlines() if "knerve.service" in line]
    assert [line for line in complaints if "is not executable" not in line] == []
