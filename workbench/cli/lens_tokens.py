"""`workbench lens logit | tuned | patchscope | grid | train-tuned`: the tokens that a lens reads in special tokens."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import lens_options, options, say
from workbench.cli.lens_options import Look
from workbench.errors import UsageError
from workbench.lenses.tuned_config import TunedTraining

if TYPE_CHECKING:
    from workbench.lenses.agreement import Agreement
    from workbench.lenses.reading import LensReading

Probes = Annotated[Path, typer.Option("--probes", help="A folder that `workbench lens train-tuned` wrote.")]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt", help="The patchscope's prompt, {} where the state goes; else one that asks to repeat it."
    ),
]
TargetLayer = Annotated[
    str, typer.Option("--target-layer", help="Where the state is put: 0 (the input row), a layer, or same.")
]


@options.with_flags(Look)
def logit(
    look: Look,
    text: lens_options.Text,
    layers: lens_options.Layers = None,
    k: lens_options.TopK = 5,
    figure: lens_options.FigurePath = None,
) -> None:
    """Read every layer by the model's own final norm and head; --layers -1 is the reading of the LLM2Vec-Gen paper."""
    numbers = _checked(text, layers, figure)

    from workbench.lenses.logit import logit_lens

    _give(look, logit_lens(look.open(), [text], numbers, k)[0], figure)


@options.with_flags(Look)
def tuned(
    look: Look,
    text: lens_options.Text,
    probes: Probes,
    layers: lens_options.Layers = None,
    k: lens_options.TopK = 5,
    figure: lens_options.FigurePath = None,
) -> None:
    """Read every layer through a translator trained to say what the last layer will say."""
    numbers = _checked(text, layers, figure)

    from workbench.lenses.tuned import tuned_lens
    from workbench.lenses.tuned_artifact import load_tuned_lens

    embedder = look.open()
    _give(look, tuned_lens(embedder, [text], load_tuned_lens(embedder, probes), numbers, k)[0], figure)


@options.with_flags(Look)
def patchscope(
    look: Look,
    text: lens_options.Text,
    layers: lens_options.Layers = None,
    k: lens_options.TopK = 5,
    prompt: Prompt = None,
    target_layer: TargetLayer = "0",
    figure: lens_options.FigurePath = None,
) -> None:
    """Put every state into a prompt that asks the same model to repeat it, and read what it would say next."""
    numbers = _checked(text, layers, figure)
    target = _target(target_layer)

    from workbench.lenses.patchscope import patchscope

    [reading] = patchscope(look.open(), [text], numbers, k, prompt=prompt, target_layer=target)
    _give(look, reading, figure)


@options.with_flags(Look)
def grid(
    look: Look,
    text: lens_options.Text,
    layers: lens_options.Layers = None,
    k: lens_options.TopK = 5,
    probes: Annotated[
        Path | None, typer.Option("--probes", help="Also the tuned lens, with these translators.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", help="Also the latent lens, with this index.")
    ] = None,
    prompt: Prompt = None,
    target_layer: TargetLayer = "0",
    figure: lens_options.FigurePath = None,
) -> None:
    """All lenses side by side, and how far they agree; the tuned lens needs --probes, the latent lens --index."""
    numbers = _checked(text, layers, figure)
    target = _target(target_layer)

    from workbench.lenses.agreement import agreement
    from workbench.lenses.latent import latent_lens
    from workbench.lenses.latent_index import LatentIndex
    from workbench.lenses.logit import logit_lens
    from workbench.lenses.patchscope import patchscope
    from workbench.lenses.tuned import tuned_lens
    from workbench.lenses.tuned_artifact import load_tuned_lens

    embedder = look.open()
    readings: list[list[LensReading]] = [logit_lens(embedder, [text], numbers, k)]
    if probes is not None:
        readings.append(tuned_lens(embedder, [text], load_tuned_lens(embedder, probes), numbers, k))
    readings.append(patchscope(embedder, [text], numbers, k, prompt=prompt, target_layer=target))
    if index is not None:
        opened = LatentIndex.open(index, embedder.backbone)
        readings.append([*latent_lens(embedder, [text], opened, numbers, k)])
    found = agreement(readings, k)
    flat = [reading for [reading] in readings]
    values = {"text": text, "readings": [reading.to_dict() for reading in flat], "agreement": found.to_dict()}
    look.give(values, _grid_table(flat, found), lambda path: _save_all(flat, path))
    _draw(flat, figure)


@options.with_flags(TunedTraining)
def train_tuned(
    training: TunedTraining,
    source: Annotated[
        str, typer.Option("--input", help="Texts: .txt, .jsonl, .csv, .tsv, .parquet, or a hub id.")
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder of the trained translators.")],
    embedder: options.EmbedderPath = None,
    backbone: options.BackbonePath = None,
    column: options.Column = None,
    limit: options.Limit = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Train a tuned lens for an embedder on texts, and print how near every layer comes to the last one."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"the output is a file: {output}")
    options.check_parent(output / "config.json")
    table = options.gather_texts(None, source, column, limit)
    say.note_left_out(table.left_out, table.source)

    from workbench.embedders.artifact import load_embedder
    from workbench.files import hash_bytes
    from workbench.lenses.tuned import train_tuned_lens
    from workbench.lenses.tuned_artifact import save_tuned_lens

    loaded = load_embedder(
        embedder, backbone=backbone, device=device, dtype=dtype, trust_remote_code=trust_remote_code
    )
    with say.progress("tuned lens", training.steps, "steps") as progress:
        trained = train_tuned_lens(loaded, table.texts, training, progress=progress)
    save_tuned_lens(trained, loaded, output, training, data_hash=hash_bytes(*table.texts))
    rows = [
        (layer, f"{a:.3f}", f"{b:.3f}")
        for layer, (a, b) in enumerate(zip(trained.logit, trained.tuned, strict=True))
    ]
    print("KL to the last layer on held-out texts, in nats")
    print(lens_options.plain_table(("layer", "logit lens", "tuned lens"), rows))
    say.note(f"translators of {len(rows) - 1} layers, trained on {trained.states} states, in {output}")


def _checked(text: str, layers: str | None, figure: Path | None) -> list[int] | None:
    """The layer numbers; UsageError for an empty text, bad layers, or a figure that could not be written."""
    lens_options.checked_text(text)
    if figure is not None:
        options.check_output(figure, lens_options.FIGURES)
    return lens_options.layer_numbers(layers)


def _target(layer: str) -> int | None:
    """The target layer's number; None for "same"."""
    if layer == "same":
        return None
    if not layer.removeprefix("-").isdecimal():
        raise UsageError(f"--target-layer is a number or same, not {layer!r}")
    return int(layer)


def _give(look: Look, reading: "LensReading", figure: Path | None) -> None:
    look.give(reading.to_dict(), lens_options.table_of(reading), reading.save)
    _draw([reading], figure)


def _draw(readings: "list[LensReading]", path: Path | None) -> None:
    if path is not None:
        from workbench.figures import lens

        lens_options.write_figure(path, lambda: lens.lens_map(readings), lambda: lens.lens_print(readings))


def _grid_table(readings: "list[LensReading]", found: "Agreement") -> str:
    """The top token of every cell for every lens, the last layer on top, and the agreement of the lenses by layer."""
    parts = []
    for reading in readings:
        rows: list[list[Any]] = []
        for at, layer in reversed(list(enumerate(reading.layers))):
            tops = zip(reading.tokens[at], reading.novel[at, :, 0], strict=True)
            rows.append([layer, *(f"{ranks[0]}{'*' if new else ''}" for ranks, new in tops)])
        head = f"{reading.lens} lens: the top token; * the word does not occur in the text"
        parts.append(f"{head}\n{lens_options.plain_table(['layer', *reading.labels], rows)}")
    figures = [
        (
            layer,
            f"{found.score[at]:.2f}",
            f"{found.low[at]:.2f} to {found.high[at]:.2f}",
            f"{found.control[at]:.2f}",
        )
        for at, layer in reversed(list(enumerate(found.layers)))
    ]
    names = ", ".join(found.lenses)
    head = f"agreement of {names}: overlap of the top {found.k}, {found.cells} special tokens"
    parts.append(f"{head}\n{lens_options.plain_table(('layer', 'overlap', '95 %', 'control'), figures)}")
    return "\n\n".join(parts)


def _save_all(readings: "list[LensReading]", path: Path) -> None:
    """Every reading's rows in one parquet file, told apart by the column `lens`."""
    import pandas as pd

    from workbench.disk import atomic_path

    frames = [reading.to_frame().assign(lens=reading.lens) for reading in readings]
    with atomic_path(path) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary)
