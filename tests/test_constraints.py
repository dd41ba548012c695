"""The pinned versions are those that the package may be installed with, and the audit sees what it should see."""

import importlib.util
import re
import tomllib
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_every_line_pins_one_version_from_a_package_index():
    for pin in PINS:
        assert pin.url is None, pin
        assert re.fullmatch(r"==[\w.!]+", str(pin.specifier)), f"{pin}: no local build, no range"
    names = [canonicalize_name(pin.name) for pin in PINS]
    assert len(set(names)) == len(names) > 100


def test_the_pins_are_what_pyproject_admits():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in PINS}
    needed = [Requirement(line) for line in listed if not line.startswith("workbench[")]
    assert len(needed) > 25
    for requirement in needed:
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} does not admit {version}"
        assert requirement.url is None


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def installed(folder, name, *lines, url=None):
    place = folder / f"{name}-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines]) + "\n"
    )
    if url:
        (place / "direct_url.json").write_text(f'{{"url": "{url}"}}')
    return Distribution.at(place)


def test_the_audit_finds_licences_and_origins_that_must_be_looked_at(audit, tmp_path):
    known = {
        "good": installed(tmp_path, "good", "License-Expression: BSD-3-Clause"),
        "named": installed(tmp_path, "named", "Classifier: License :: OSI Approved :: MIT License"),
        "strict": installed(tmp_path, "strict", "License-Expression: AGPL-3.0-only"),
        "silent": installed(tmp_path, "silent"),
        "git": installed(tmp_path, "git", "License: MIT", url="git+https://example.org/x"),
        "asks": installed(tmp_path, "asks", "License: MIT", "Requires-Dist: x @ https://example.org/x.whl"),
    }
    found = audit.problems(known)
    assert [line.split()[0].strip(":") for line in found] == ["strict", "silent", "git", "asks"]
    assert "AGPL-3.0-only" in found[0]
    assert "'unknown'" in found[1]


def test_the_audit_walks_through_all_that_is_needed(audit):
    known = audit.dependencies()
    assert {"torch", "streamlit", "huggingface-hub", "hypothesis"} <= set(known)
    assert "workbench" not in known
