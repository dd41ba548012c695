"""What this package brings along: every dependency with its version, licence and origin, and what is known against it.

Looks at the environment that it runs in, and needs no network, except for the last step: `pip-audit`, where it is
installed, asks for known vulnerabilities. Exit code 1 for a dependency from elsewhere than a package index, a licence
that is not known to be free of conditions on what is built with it, or a known vulnerability.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT, EXTRAS = "workbench", ("minilm", "mteb", "dev")
PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|Unlicense|Zlib|HPND|CNRI|0BSD|CC0|Public Domain|Boost",
    re.IGNORECASE,
)
STRICT = re.compile(r"\bA?GPL|Affero", re.IGNORECASE)
READ = {"umap-learn": "BSD-3-Clause (its LICENSE.txt)"}
"""Packages whose metadata does not say it, and what their own files say."""


def dependencies() -> dict[str, Distribution]:
    """Every installed distribution that the package needs, extras included, by its name."""
    found: dict[str, Distribution] = {}
    open_ = [(ROOT, EXTRAS)]
    seen = set()
    while open_:
        name, extras = open_.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # of another platform, or an extra that is not installed
            continue
        for line in found[name].requires or []:
            needed = Requirement(line)
            applies = [extra for extra in ("", *extras) if _applies(needed, extra)]
            if applies:
                open_.append((_plain(needed.name), tuple(sorted(needed.extras))))
    found.pop(ROOT)
    return dict(sorted(found.items()))


def licence(found: Distribution) -> str:
    """The licence that a distribution's metadata names, in few words; "unknown" for none."""
    said = found.metadata
    classified = [
        line.split(" :: ")[-1] for line in said.get_all("Classifier") or [] if line.startswith("License ::")
    ]
    named = said.get("License-Expression") or " or ".join(classified) or (said.get("License") or "").strip()
    return " ".join(named.split())[:60] or "unknown"


def origin(found: Distribution) -> str:
    """Where it was installed from: "" for a package index."""
    url = found.read_text("direct_url.json")
    return json.loads(url).get("url", "") if url else ""


def problems(known: dict[str, Distribution]) -> list[str]:
    """What must be looked at."""
    found = []
    for name, package in known.items():
        named = licence(package)
        if origin(package).startswith(("git+", "http", "ssh")):
            found.append(f"{name} came from {origin(package)}, not from a package index")
        for line in package.requires or []:
            if Requirement(line).url:
                found.append(f"{name} asks for a URL: {line}")
        if name not in READ and (
            (STRICT.search(named) and "LGPL" not in named) or not PERMISSIVE.search(named)
        ):
            found.append(f"{name}: the licence is {named!r}: read it, and note what it is in .ci/audit.py")
    return found


def vulnerabilities(known: dict[str, Distribution]) -> tuple[str, bool]:
    """What pip-audit says of these versions, and whether it knows one that is vulnerable."""
    program = shutil.which("pip-audit")
    if program is None:
        return "known vulnerabilities were not asked for: `pipx install pip-audit` brings the program", False
    pins = "".join(f"{name}=={package.version.partition('+')[0]}\n" for name, package in known.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pins.txt"
        path.write_text(pins)
        command = [
            program,
            "-r",
            str(path),
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "-f",
            "json",
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        rows = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        return f"pip-audit could not ask its service: {' '.join(ran.stderr.split())[-200:]}", False
    asked = [row for row in rows if "skip_reason" not in row]
    bad = [f"{row['name']} {row['version']}: {hit['id']}" for row in asked for hit in row["vulns"]]
    said = f"pip-audit judged {len(asked)} of {len(rows)} packages and knows {len(bad)} vulnerabilities"
    return "\n".join([said, *bad]), bool(bad)


def main() -> int:
    """Prints the audit; returns the exit code."""
    known = dependencies()
    for name, package in known.items():
        print(f"{name:34} {package.version:18} {READ.get(name) or licence(package)}")
    print(f"{len(known)} packages")
    found = problems(known)
    said, vulnerable = vulnerabilities(known)
    print("\n".join([*found, said]))
    return int(bool(found) or vulnerable)


def _applies(needed: Requirement, extra: str) -> bool:
    return needed.marker is None or needed.marker.evaluate({"extra": extra})


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
