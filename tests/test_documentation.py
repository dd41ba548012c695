"""README and docs point at what is there: files, headings, targets of the Makefile, commands and their options."""

import fnmatch
import json
import re
import shlex
import subprocess
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from workbench.cli.commands import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
OURS = ("analyses/", "benchmarks/", "data/", "docs/", "tests/", "workbench/")


def prose(page):
    """A page without its code blocks."""
    return FENCE.sub("", page)


def inline(page):
    return re.findall(r"`([^`\n]+)`", prose(page))


def code_lines(page):
    """Lines of the code blocks, with those that a backslash continues put together."""
    return [line for block in FENCE.findall(page) for line in block.replace("\\\n", " ").splitlines()]


def anchors(page):
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tracked():
    """Files that git knows, and their folders, relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: which files the project ships is not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = {Path(name) for name in listed.stdout.split("\0") if name}
    return files | {folder for file in files for folder in file.parents}


def dead_links(path, page, there):
    """Relative links that lead to no tracked file, and anchors that are no heading of the file."""
    dead = []
    for link in LINK.findall(prose(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        known = target.is_relative_to(ROOT) and target.relative_to(ROOT) in there
        if not known or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    return dead


def missing_paths(page, there):
    """Paths in backticks that are not there, where they begin with a folder of ours; patterns count once matched."""
    named = {
        word.split("::")[0].rstrip("/") for word in inline(page) if word.startswith(OURS) and " " not in word
    }
    return [name for name in named if not fnmatch.filter(map(str, there), name)]


def missing_targets(page, makefile):
    """Targets of `make X` that the Makefile has not."""
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    named = [re.match(r"make ([\w-]+)", line) for line in chain(inline(page), code_lines(page))]
    return [found[1] for found in named if found and found[1] not in targets]


@cache
def parser():
    return typer.main.get_command(app)


def refusal(line, whole):
    """What the parser has against the names of a command line; "" if nothing. Nothing is run, no value is looked at.

    whole: whether what the command needs has to be there too.
    """
    words = [word for word in shlex.split(line, comments=True) if word != "..."]
    command, words = parser(), words[words.index("workbench") + 1 :]
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    try:
        given, left, _ = command.make_parser(command.context_class(command)).parse_args(words)
    except typer.TyperException as error:
        return error.format_message()
    missing = [each.name for each in command.params if each.required and given.get(each.name) is None]
    return f"too many words: {left}" if left else f"without {missing}" if whole and missing else ""


def refused(page):
    """Command lines in code blocks (whole ones) and in backticks (shortened ones) that the parser refuses."""
    blocks = [line for line in code_lines(page) if re.search(r"^workbench | -m workbench ", line)]
    said = {line: refusal(line, whole=True) for line in blocks}
    said |= {line: refusal(line, whole=False) for line in inline(page) if line.startswith("workbench ")}
    return {line: why for line, why in said.items() if why}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_points_at_what_is_there(path):
    page, there = path.read_text(encoding="utf-8"), tracked()
    assert dead_links(path, page, there) == []
    assert missing_paths(page, there) == []
    assert missing_targets(page, (ROOT / "Makefile").read_text(encoding="utf-8")) == []
    assert refused(page) == {}


def unmeasured(page, measured):
    """Ratios of a page's tables that no benchmark gave: those with an x, and rows of memory."""
    rows = [row for row in page.splitlines() if row.startswith("|")]
    ratios = [ratio for row in rows for ratio in re.findall(r"([0-9]+\.[0-9]+)x", row)]
    ratios += [
        ratio for row in rows if row.startswith("| memory") for ratio in re.findall(r"0\.[0-9]{2}", row)
    ]
    return sorted(set(ratios) - measured), len(ratios)


def test_ratios_in_the_readme_are_those_that_were_measured():
    results = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    measured = {f"{bar['ratio']:.2f}" for result in results.values() for bar in result.get("judged", [])}
    missing, count = unmeasured(PAGES[0].read_text(encoding="utf-8"), measured)
    assert missing == []
    assert count >= 24
    assert unmeasured("| a | 1.23x (4.50x) |\n| memory | 0.12, 0.34 |\n7.77x", {"1.23", "0.34"})[0] == [
        "0.12",
        "4.50",
    ]


def test_the_readme_has_what_is_looked_for():
    """A pattern that finds nothing would pass everything."""
    page = PAGES[0].read_text(encoding="utf-8")
    assert len(LINK.findall(prose(page))) >= 5
    assert len([line for line in code_lines(page) if line.startswith("workbench ")]) >= 30
    assert len([line for line in inline(page) if line.startswith("make ")]) >= 5
    assert len([word for word in inline(page) if word.startswith(OURS)]) >= 20


def test_what_is_not_there_is_found():
    page = "[a](docs/no.md) [b](#nope) ![c](.git/HEAD) [d](docs/figures.md#figures) [e](https://x.y)"
    assert dead_links(PAGES[0], page, tracked()) == ["docs/no.md", "#nope", ".git/HEAD"]
    page = "`docs/no.md` `data/figures/*.json` `data/no*.json` `workbench/cli/`"
    assert sorted(missing_paths(page, tracked())) == ["data/no*.json", "docs/no.md"]
    assert missing_targets("`make it`\n```bash\nmake lint\nmake up  # it\n```\n", "lint:\n\truff\n") == [
        "it",
        "up",
    ]


def test_what_the_parser_refuses_is_found():
    good = ["workbench push a b", "accelerate launch -m workbench respond --queries \\\n x --output y  # z"]
    bad = {
        "workbench decode --vectorz x": "No such option: --vectorz (Possible options: --vectors)",
        "workbench lens logitt x": "no command logitt",
        "workbench decode a": "too many words: ['a']",
        "workbench push a": "without ['repo_id']",
    }
    assert refused("\n".join(["```bash", *good, *bad, "```", "`workbench push`"])) == bad
