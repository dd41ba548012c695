"""`workbench atlas map`: where the rows of a store stand in the plane, and how far that can be trusted."""

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.atlas.plans import MapPlan
from workbench.cli import options, say
from workbench.cli.atlas_options import StorePath
from workbench.disk import atomic_path

if TYPE_CHECKING:
    from workbench.atlas.maps import StoreMap

FIGURES = (".html", ".pdf", ".svg", ".png")
OTHERS = "all others"
"""The group of the rarest values, where there are more of them than colours and shapes."""


@options.with_flags(MapPlan)
def store_map(
    plan: MapPlan,
    store: StorePath,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Also write the figure (.html to look at, .pdf, .svg or .png to print), or every row's place (.csv).",
        ),
    ] = None,
) -> None:
    """Map a store by UMAP or PCA, and say how many neighbours the map keeps, beside what chance keeps.

    The store keeps the map (one at a time). It is made again only where rows were added or it is to be made
    otherwise, and one line says so.
    """
    if output is not None:
        options.check_output(output, (*FIGURES, ".csv"))
    from workbench.atlas.maps import map_of
    from workbench.atlas.sample import columns
    from workbench.atlas.store import open_store

    opened = open_store(store)
    made = map_of(opened, plan, report=say.note)
    print("\n".join(made.facts.lines()))
    if output is None or output.suffix in FIGURES:
        print(made.shown)
    if output is None:
        return
    texts = columns(opened, ["text"])["text"]
    with atomic_path(output) as temporary:
        if output.suffix in FIGURES:
            _write_figure(made, texts, plan.by, temporary, output.suffix)
        else:
            _write_places(made, texts, plan.by, temporary)
    rows = len(made.shown) if output.suffix in FIGURES else len(made.ids)
    say.note(f"{rows:,} rows in {output}")


def _write_figure(made: "StoreMap", texts: list[str], by: str | None, path: Path, kind: str) -> None:
    """The shown rows for paper, or as a page that needs no network: plotly itself is in it."""
    from workbench.figures import palette
    from workbench.figures.map import MapData, neighbour_map

    rows = made.shown.rows
    groups = coloured(
        [made.groups[row] for row in rows.tolist()], len(palette.OKABE_ITO) * len(palette.SYMBOLS)
    )
    shown = [texts[row] for row in rows.tolist()]
    data = MapData(shown, groups, [""] * len(rows), made.points[rows])
    said = [*made.facts.lines(), str(made.shown) + (f", coloured by {by}" if by else "")]
    if kind != ".html":
        from workbench.figures.paper.export import as_bytes
        from workbench.figures.prints.map import map_print

        path.write_bytes(as_bytes(map_print(data, says=said), kind[1:]))
        return
    figure = neighbour_map(data)
    title = {"text": "<br>".join(palette.label(line, 110, 2) for line in said), "font": {"size": 13}}
    figure.update_layout(title=title, height=760, margin={"t": 90, "l": 10, "r": 10, "b": 10})
    figure.write_html(
        path, include_plotlyjs=True, div_id="map", config={"displaylogo": False, "scrollZoom": True}
    )


def _write_places(made: "StoreMap", texts: list[str], by: str | None, path: Path) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "x", "y", *([by] if by else []), "text"])
        for id, (x, y), group, text in zip(made.ids, made.points.tolist(), made.groups, texts, strict=True):
            writer.writerow([id, f"{x:.6f}", f"{y:.6f}", *([group] if by else []), text])


def coloured(groups: list[str], kinds: int) -> list[str]:
    """The groups as they are drawn: where there are more than `kinds`, the rarest ones are one group."""
    counts = Counter(groups).most_common()
    if len(counts) <= kinds:
        return groups
    kept = {name for name, _ in counts[: kinds - 1]}
    say.note(f"{len(kept)} of {len(counts)} groups have a colour of their own; the rarest are {OTHERS!r}")
    return [name if name in kept else OTHERS for name in groups]
