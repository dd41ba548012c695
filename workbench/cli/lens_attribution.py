"""`workbench lens attribute | patch | verify`: what causes the decoded tokens, and whether that is so."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workbench.cli import lens_options, options, say
from workbench.cli.lens_options import Look
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder
    from workbench.lenses.attribution_map import AttributionMap
    from workbench.lenses.patching import PatchReading

Method = Annotated[
    Literal["zero", "mean", "resample", "gradient", "words"],
    typer.Option(
        "--method",
        help="Special tokens replaced by zero, their mean, or other texts' (resample); words of the text by gradient, "
        "or replaced (words).",
    ),
]
Steps = Annotated[
    int,
    typer.Option(
        "--steps", min=1, help="Steps of the gradient from nothing to the text; 1 is gradient x input."
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference", help="A file of other texts for mean and resample; else the field guide's queries."
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Which other texts are drawn.")]
MaxNewTokens = Annotated[
    int, typer.Option("--max-new-tokens", min=1, help="Longest decoded text, in tokens.")
]
WIDE = 24
"""Decoded tokens in one block of the table."""


@options.with_flags(Look)
def attribute(
    look: Look,
    text: lens_options.Text,
    method: Method = "zero",
    decoded: Annotated[
        str | None,
        typer.Option("--decoded", help="Explain this text instead of what the embedding decodes to."),
    ] = None,
    reference: Reference = None,
    steps: Steps = 16,
    seed: Seed = 0,
    max_new_tokens: MaxNewTokens = 64,
    figure: lens_options.FigurePath = None,
) -> None:
    """Show how much each special token, or each word of the text, made each decoded token likelier.

    Numbers are log-probabilities lost when the row is replaced: 0 is no matter, above 0 it helped. The line "all" is
    what is lost when all rows are replaced at once; what the rows add up to beside that is printed as completeness.
    """
    lens_options.checked_text(text)
    _check(figure)

    from workbench.lenses.word_attribution import attribute as attribution

    found = attribution(
        look.open(),
        text,
        method,
        decoded=decoded,
        reference=_texts(reference),
        steps=steps,
        seed=seed,
        max_new_tokens=max_new_tokens,
    )
    look.give(found.to_dict(), _map_table(found), found.save)
    if figure is not None:
        from workbench.figures import attribution as draw

        lens_options.write_figure(
            figure, lambda: draw.attribution_map(found), lambda: draw.attribution_print(found)
        )


@options.with_flags(Look)
def patch(
    look: Look,
    source: Annotated[str, typer.Option("--source", help="The text that gives a special token.")],
    target: Annotated[str, typer.Option("--target", help="The text that takes it.")],
    token: Annotated[int, typer.Option("--token", min=1, help="Which, as it is labelled: 1 is ◆1.")],
    layer: Annotated[
        int | None,
        typer.Option("--layer", help="Move its state behind this block, from 1; else what is kept of it."),
    ] = None,
    max_new_tokens: MaxNewTokens = 64,
    figure: lens_options.FigurePath = None,
) -> None:
    """Put one special token of a text into another text, and decode: what moved?"""
    for given in (source, target):
        lens_options.checked_text(given)
    _check(figure)

    from workbench.lenses.patching import patch as patched

    reading = patched(
        look.open(), source, target, token=token - 1, layer=layer, max_new_tokens=max_new_tokens
    )
    look.give(reading.to_dict(), _patch_table(reading), reading.save)
    if figure is not None:
        from workbench.figures import attribution as draw

        lens_options.write_figure(figure, lambda: draw.patch_map(reading), lambda: draw.patch_print(reading))


@options.with_flags(Look)
def verify(
    look: Look,
    text: options.Texts = None,
    source: options.Input = None,
    column: options.Column = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only the first so many texts.")] = 20,
    method: Method = "zero",
    reference: Reference = None,
    steps: Steps = 16,
    seed: Seed = 0,
    max_new_tokens: MaxNewTokens = 64,
    figure: lens_options.FigurePath = None,
) -> None:
    """Intervene, and compare what an attribution map predicts with what happens, by rank correlation.

    Special tokens (zero, mean) are resampled from other texts, words (gradient) are replaced. The control shuffles the
    predictions among the rows of each decoded token.
    """
    if method in ("resample", "words"):
        raise UsageError(f"--method {method} is the intervention itself; verify zero, mean or gradient")
    _check(figure)
    table = options.gather_texts(text, source, column, limit)
    say.note_left_out(table.left_out, table.source)
    others = _texts(reference)

    from workbench.lenses.verification import verify as verified
    from workbench.lenses.word_attribution import attribute as attribution

    embedder = look.open()
    how: dict[str, Any] = {
        "reference": others,
        "steps": steps,
        "seed": seed,
        "max_new_tokens": max_new_tokens,
    }
    with say.progress("maps", len(table), "texts") as advance:
        maps = []
        for done, each in enumerate(table.texts, 1):
            maps.append(attribution(embedder, each, method, **how))
            advance(done, len(table))
    found = verified(embedder, maps, reference=others, seed=seed)
    lines = [f"predicted by  {found.predicted_by}", f"intervention  {found.intervention}", found.line()]
    look.give(found.to_dict(), "\n".join(lines), found.save)
    if figure is not None:
        from workbench.figures import attribution as draw

        lens_options.write_figure(
            figure, lambda: draw.verification_map(found), lambda: draw.verification_print(found)
        )


def _maps(embedder: "Embedder", texts: list[str], how: dict[str, Any]) -> "list[AttributionMap]":
    """The map of each text, with progress."""
    from workbench.lenses.word_attribution import attribute as attribution

    maps = []
    with say.progress("maps", len(texts), "texts") as advance:
        for done, text in enumerate(texts, 1):
            maps.append(attribution(embedder, text, **how))
            advance(done, len(texts))
    return maps


def _check(figure: Path | None) -> None:
    """Raises UsageError for a figure that could not be written, before any work is done."""
    if figure is not None:
        options.check_output(figure, lens_options.FIGURES)


def _texts(reference: str | None) -> list[str] | None:
    """The texts of the reference file; None without one, which takes the field guide's."""
    if reference is None:
        return None
    from workbench.texts import read_texts

    return read_texts(reference).texts


def _map_table(found: "AttributionMap") -> str:
    """The map in blocks of WIDE decoded tokens, a line for each row, then what all rows lose together."""
    lines = [f"decoded  {found.decoded}"]
    for start in range(0, len(found.tokens), WIDE):
        part = slice(start, start + WIDE)
        rows = [*zip(found.labels, found.values[:, part], strict=True), ("all", found.jointly[part])]
        cells = [[label, *map(_signed, values.tolist())] for label, values in rows]
        lines += ["", lens_options.plain_table(["", *found.tokens[part]], cells)]
    summed, whole = float(found.values.sum()), float(found.jointly.sum())
    lines += [
        "",
        f"{found.of}, {found.how}, {found.baseline}; completeness: rows add up to {summed:+.2f} of {whole:+.2f} nats, "
        f"error {found.completeness_error:.2f} (0 is complete)",
    ]
    return "\n".join(lines)


def _signed(value: float) -> str:
    return "·" if abs(value) < 0.05 else f"{value:+.1f}"


def _patch_table(reading: "PatchReading") -> str:
    """What is decoded before and after, and how much likelier the tokens of both answers became."""
    place = "" if reading.layer is None else f" behind layer {reading.layer}"
    lines = [
        f"source  {reading.source_decoded}",
        f"before  {reading.before}",
        f"after   {reading.after}",
        f"moved   {', '.join(reading.moved) or 'nothing'} ({reading.label}{place})",
    ]
    sides = (
        ("target's tokens", reading.target_tokens, reading.target_change),
        ("source's tokens", reading.source_tokens, reading.source_change),
    )
    for name, tokens, change in sides:
        cells = "  ".join(
            f"{token} {_signed(value)}" for token, value in zip(tokens, change.tolist(), strict=True)
        )
        lines.append(f"{name} (change of log-probability)  {cells}")
    return "\n".join(lines)
