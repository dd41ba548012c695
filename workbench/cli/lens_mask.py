"""`workbench lens mask`: whom a text's tokens may attend to, and whom the special tokens really attend to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import lens_options, options, say
from workbench.cli.lens_options import Look
from workbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from workbench.lenses.attention import SpecialAttention

FIGURES = (".png", ".pdf", ".svg")


@options.with_flags(Look)
def mask(
    look: Look,
    text: lens_options.Text,
    layer: Annotated[int | None, typer.Option("--layer", help="One layer, from 1; else their mean.")] = None,
    head: Annotated[int | None, typer.Option("--head", help="One head, from 1; else their mean.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Also draw the text's own rows.")] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Also draw both: .png, .pdf or .svg.")
    ] = None,
) -> None:
    """Show the declared attention mask beside the weights that are applied, and whether anything leaks.

    What stands outside the mask must get no weight in any head. The weights are recomputed with eager attention.
    """
    lens_options.checked_text(text)
    if figure is not None:
        options.check_output(figure, FIGURES)

    from workbench.lenses.attention import special_attention

    seen = special_attention(look.open(), text)
    for what, number, count in (("layer", layer, seen.layers), ("head", head, seen.heads)):
        if number is not None and not 1 <= number <= count:
            raise UsageError(f"no {what} {number}: they are numbered 1 to {count}")
    say.note_truncated(int(seen.truncated), 1)
    chosen = (None if layer is None else layer - 1, None if head is None else head - 1)
    frame = seen.to_frame(*chosen)
    values = {"layer": layer, "head": head, "leak": seen.leak, "deviation": seen.deviation}
    values |= {"tokens": seen.tokens, "declared": seen.declared.tolist()}
    values |= {"weights": seen.weights_of(*chosen).tolist()}
    look.give(
        values, _table(seen, seen.weights_of(*chosen)), lambda path: frame.to_parquet(path, index=False)
    )
    if figure is not None:
        from workbench.figures.prints.attention import attention_print

        lens_options.write_print(figure, lambda: attention_print(seen, *chosen, whole=rows))


def _table(seen: "SpecialAttention", weights: "np.ndarray") -> str:
    """A line for each special token: how many tokens it may look at, and what share the text and its start get."""
    text = seen.is_prefix
    text[0] = False
    lines = [
        [
            seen.tokens[row],
            int(seen.declared[row].sum()),
            f"{weights[row, text].sum():.2f}",
            f"{weights[row, 0]:.2f}",
            f"{weights[row, seen.is_special].sum():.2f}",
        ]
        for row in seen.is_special.nonzero()[0].tolist()
    ]
    table = lens_options.plain_table(("token", "may look at", "text", "first token", "special tokens"), lines)
    return (
        f"{table}\nlargest weight outside the mask: {seen.leak:.1g}; recomputed hidden states are "
        f"{seen.deviation:.1g} from those used"
    )
