"""docs/threats.md names tests that are there, and the app is started with what it says."""

import re
import tomllib
from pathlib import Path

from workbench.cli import serve

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_page_names_is_there():
    page, named = (ROOT / "docs" / "threats.md").read_text(), 0
    for line in page.splitlines():
        file = None
        for found in re.finditer(r"`(tests/[\w/]+\.py)?::(\w+)`", line):
            file = found[1] or file
            assert file is not None, line
            source = (ROOT / file).read_text()
            assert re.search(rf"^def {found[2]}\(", source, re.MULTILINE), f"{file} has no {found[2]}"
            named += 1
    assert named > 20


def test_the_app_is_started_with_the_settings_of_the_checkout():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    flags = dict(flag.removeprefix("--").split("=") for flag in serve.SETTINGS)
    flags |= {"server.address": "localhost"}
    for flag, value in flags.items():
        section, name = flag.split(".")
        assert str(config[section][name]).lower() == value.lower(), flag
    assert config["server"]["maxUploadSize"] <= 50
    assert config["server"]["enableXsrfProtection"] is True
    assert config["browser"]["gatherUsageStats"] is False
