"""What ships beside the weights: the texts of the default atlas, and the list of all files with their hashes."""

from __future__ import annotations

from pathlib import Path

from workbench.disk import atomic_path
from workbench.errors import WorkbenchError
from workbench.fieldguide.items import Item
from workbench.files import hash_file

# The colours of the map: topics that belong together, by kind where the kind says more than the topic.
GROUPS = {
    "places": ("countries", "cities", "landmarks"),
    "nature and sky": ("animals", "plants", "substances", "planets"),
    "people and languages": ("people", "professions", "languages"),
    "things and makers": ("tools", "instruments", "foods", "sports", "companies", "products"),
    "emotions": ("emotions",),
}
ATLAS = {
    "one_hop": 150, "two_hop": 100, "reverse": 40, "comparison": 20, "emotion": 60, "harmful": 60, "lookalike": 60,
}  # fmt: skip
COMMANDS = {
    "fieldguide/corpus.jsonl": "workbench respond --queries data/fieldguide/queries.jsonl "
    "--output data/fieldguide/corpus.jsonl --max-new-tokens 64",
    "fieldguide/report.json": "workbench fieldguide evaluate --output data/fieldguide/report.json",
    "fieldguide/gem_report.json": "workbench fieldguide evaluate --embedder data/embedders/gem "
    "--control runs/gem-control --output data/fieldguide/gem_report.json",
    "fieldguide/lifter_report.json": "workbench fieldguide lifter --output data/fieldguide/lifter_report.json",
    "fieldguide/": "workbench fieldguide build --output data/fieldguide",
    "embedders/llm2vec-gen/": "make embedder",
    "embedders/gem/": "make gem",
    "teachers/": "make teacher",
    "lifters/": "make lifter",
    "trust/default.json": "workbench fieldguide trust --keep data/trust/default.json",
    "trust/gem.json": "workbench fieldguide trust --embedder data/embedders/gem --keep data/trust/gem.json",
    "trust/": "workbench fieldguide trust --read lifter --keep data/trust/llm2vec-gen-lifter.json",
    "atlas/": "workbench fieldguide atlas --output data/atlas/default.parquet",
    "evaluation/": "python -m analyses.main_table",
    "runs/": "make embedder",
    "figures/": "make figures",
}


def group_of(item: Item) -> str:
    """The group of the map that an item belongs to."""
    if item.kind in ("harmful", "lookalike"):
        return "harmful requests" if item.kind == "harmful" else "harmless look-alikes"
    return next((group for group, topics in GROUPS.items() if item.topic in topics), "other")


def atlas_texts(items: list[Item]) -> tuple[list[str], list[dict[str, str]]]:
    """The first exam queries of each kind, as many as ATLAS says, with their group and kind; all were held out."""
    chosen: list[Item] = []
    for kind, count in ATLAS.items():
        chosen += [item for item in items if item.kind == kind][:count]
    rows = [{"topic": group_of(item), "kind": item.kind.replace("_", " ")} for item in chosen]
    return [item.query for item in chosen], rows


def write_manifest(data: Path) -> None:
    """Writes `data`/README.md: every shipped file with its size, its hash and the command that makes it again.

    Raises WorkbenchError for a file that no command of COMMANDS makes.
    """
    lines = [
        "# The shipped default",
        "",
        "Made by `make fieldguide gem teacher lifter` from the tables in `workbench/fieldguide/tables` and seed 0;",
        "the steps are the commands below, in this order: field guide, corpus, embedder, report, atlas, the others.",
        "All of it is ours, under the licence of the project (MIT). `workbench fieldguide manifest` writes this list.",
        "",
        "| file | bytes | sha256 | made by |",
        "|---|--:|---|---|",
    ]
    for path, name in shipped_files(data):
        lines.append(f"| {name} | {path.stat().st_size} | `{hash_file(path)}` | `{command_for(name)}` |")
    with atomic_path(data / "README.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def shipped_files(data: Path) -> list[tuple[Path, str]]:
    """The files under `data` with their names there, in order, without the list itself and hidden folders."""
    found = sorted(path for path in data.rglob("*") if path.is_file())
    named = [(path, path.relative_to(data).as_posix()) for path in found]
    return [
        (path, name)
        for path, name in named
        if name != "README.md" and not name.startswith(".") and "/." not in name
    ]


def command_for(name: str) -> str:
    """The command that makes a shipped file again."""
    for start, command in COMMANDS.items():
        if name.startswith(start):
            return command
    raise WorkbenchError(
        f"no command makes data/{name}: remove it, or name its command in fieldguide/shipping.py"
    )
