"""`workbench atlas clusters`: groups of texts whose names are read from their centres, not guessed."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workbench.atlas.plans import ClusterPlan
from workbench.cli import options, say
from workbench.cli.atlas_options import AsJson, StorePath, cut
from workbench.disk import atomic_path
from workbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from workbench.atlas.clusters import Centres, Cluster, StoreClusters
    from workbench.atlas.store import Store
    from workbench.decoding.badge import Badge

NEAR = 3
"""Texts shown of every cluster, nearest to its centre first."""

Read = Annotated[
    Literal["soft-prompts", "lifter"],
    typer.Option(
        "--read", help="What stands for a centre: its rows' mean soft prompts, or its vector, lifted."
    ),
]
LifterPath = Annotated[
    str | None, typer.Option("--lifter", help="With --read lifter: its folder; else the shipped one.")
]
Trust = Annotated[
    str | None,
    typer.Option("--reference", help="A file of texts to measure trust against; else the field guide's."),
]
Terms = Annotated[int, typer.Option("--terms", min=1, help="Words of highest tf-idf beside each cluster.")]
Largest = Annotated[int | None, typer.Option("--limit", min=1, help="Only the largest so many clusters.")]
Output = Annotated[Path | None, typer.Option("--output", help="Write a .jsonl file instead of printing.")]


@options.with_flags(ClusterPlan)
def clusters(
    plan: ClusterPlan,
    store: StorePath,
    read: Read = "soft-prompts",
    lifter: LifterPath = None,
    reference: Trust = None,
    terms: Terms = 5,
    limit: Largest = None,
    as_json: AsJson = False,
    output: Output = None,
    embedder: options.EmbedderPath = None,
    max_new_tokens: options.MaxNewTokens = 64,
    backbone: options.BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Find the clusters of a store, and let the backbone say what stands at the centre of each.

    `cosine` is between the centre's vector and the embedding of the sentence; `others` is its mean with the other
    clusters' sentences. `gap` and `level` are the badge of what was read: the mean soft prompts, or the lifted centre.
    The embedder must be the one that built the store.
    """
    if output is not None:
        options.check_output(output, (".jsonl",))
    if lifter is not None and read != "lifter":
        raise UsageError("--lifter belongs to --read lifter")
    import numpy as np

    from workbench.atlas.clusters import clusters_of, read_centres
    from workbench.atlas.store import open_store
    from workbench.cli.judge import judge_of
    from workbench.decoding.media import medium_of
    from workbench.embedders.artifact import load_embedder
    from workbench.embedders.lifter_artifact import load_lifter

    opened = open_store(store)
    if read == "soft-prompts":
        _check_soft_prompts(opened)
    loaded = load_embedder(
        embedder, backbone=backbone, device=device, dtype=dtype, trust_remote_code=trust_remote_code
    )
    opened.check(loaded)
    lifting = load_lifter(loaded, lifter) if read == "lifter" else None
    found = clusters_of(opened, plan, terms)
    shown = found.clusters[:limit]
    _say_counts(found, len(shown))
    if not shown:
        return
    centroids = np.stack([cluster.centroid for cluster in shown])
    soft_prompts = _soft_prompts(opened, found, shown, centroids, lifting)
    centres = read_centres(loaded, centroids, soft_prompts, max_new_tokens=max_new_tokens)
    judge = judge_of(medium_of(loaded, lifting), reference)
    badges = judge.badges(soft_prompts if lifting is None else centroids, centres.decoded)
    rows = rows_of(found, shown, centres, badges)
    if output is None:
        print("\n".join(map(_line, rows)) if as_json else "\n\n".join(map(_block, rows)))
        return
    with atomic_path(output) as temporary:
        temporary.write_text("".join(_line(row) + "\n" for row in rows), encoding="utf-8")
    say.note(f"{len(rows)} clusters in {output}")


def rows_of(
    found: "StoreClusters", shown: list["Cluster"], centres: "Centres", badges: list["Badge"]
) -> list[dict[str, Any]]:
    """One row for each cluster; `others` is None where there is no other, `ids` begin with the nearest."""
    figures = (centres.decoded, centres.round_trip.tolist(), centres.others.tolist(), badges)
    columns = zip(shown, *figures, strict=True)
    return [
        {
            "cluster": number,
            "size": len(cluster.rows),
            "decoded": decoded,
            "cosine": round(cosine, 4),
            "others": None if math.isnan(others) else round(others, 4),
            "gap": round(badge.gap, 4),
            "level": badge.level,
            "terms": cluster.terms,
            "near": [found.texts[row] for row in cluster.rows[:NEAR].tolist()],
            "ids": [found.ids[row] for row in cluster.rows.tolist()],
        }
        for number, (cluster, decoded, cosine, others, badge) in enumerate(columns, 1)
    ]


def _check_soft_prompts(store: "Store") -> None:
    """Raises UsageError for a store whose centres can only be read through a lifter."""
    if store.facts.soft_prompts is None:
        raise UsageError(
            f"the store {store.uri} keeps no soft prompts (method {store.facts.method}), so its centres are read by "
            "--read lifter; `workbench train lifter` makes one"
        )


def _soft_prompts(
    store: "Store", found: "StoreClusters", shown: list["Cluster"], centroids: "np.ndarray", lifter: Any
) -> "np.ndarray":
    """What stands for each centre `[c, n, d]`: its vector lifted where there is a lifter, else its rows' mean."""
    import numpy as np

    from workbench.atlas.clusters import mean_soft_prompts

    if lifter is not None:
        return lifter.lift(centroids).numpy()
    members = ([found.ids[row] for row in cluster.rows.tolist()] for cluster in shown)
    return np.stack([mean_soft_prompts(store, ids) for ids in members])


def _say_counts(found: "StoreClusters", shown: int) -> None:
    """What was clustered and what is not shown, on stderr."""
    if len(found.sample) < found.sample.total:
        say.note(f"{found.sample} rows, which are what was clustered")
    if not found.clusters:
        say.note("no cluster was found; a smaller --size, or --method kmeans, may find some")
        return
    say.note(
        f"showing {shown} of {len(found.clusters)} clusters; {found.outside} of {len(found.ids)} rows are in none"
    )


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _block(row: dict[str, Any]) -> str:
    others = "" if row["others"] is None else f"  (other clusters' sentences {row['others']:.2f})"
    lines = [
        f"cluster {row['cluster']}: {row['size']} rows",
        f"decoded   {row['decoded']}",
        f"cosine    {row['cosine']:.2f}{others}  gap {row['gap']:+.2f}  {row['level']}",
        f"terms     {', '.join(row['terms'])}",
        *(f"{'near' if not number else '':9} {cut(text)}" for number, text in enumerate(row["near"])),
    ]
    return "\n".join(lines)
