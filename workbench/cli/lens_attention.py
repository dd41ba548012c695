"""`workbench lens attention`: which words of a text feed which of its special tokens."""

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import lens_options, options, say
from workbench.cli.lens_options import Look

if TYPE_CHECKING:
    import numpy as np

    from workbench.lenses.attention_flow import AttentionFlow


@options.with_flags(Look)
def attention(
    look: Look,
    text: lens_options.Text,
    layer: Annotated[int | None, typer.Option("--layer", help="One layer, from 1; else their mean.")] = None,
    head: Annotated[int | None, typer.Option("--head", help="One head, from 1; else their mean.")] = None,
    rollout: Annotated[
        bool, typer.Option(help="Also follow attention through all layers; a long text takes memory.")
    ] = True,
    top: Annotated[int, typer.Option("--top", min=1, help="Words printed for each special token.")] = 5,
    figure: lens_options.FigurePath = None,
) -> None:
    """Show which words of the text each special token attends to, and how widely it looks.

    The share of the template, of other special tokens and of thought tokens is left out, so rows sum to less than 1.
    """
    lens_options.checked_text(text)
    if figure is not None:
        options.check_output(figure, lens_options.FIGURES)

    from workbench.lenses.flow import attention_flow

    flow = attention_flow(look.open(), text, rollout=rollout)
    say.note_truncated(int(flow.truncated), 1)
    fed = flow.fed_by("attention", layer, head)
    values = {**flow.to_dict(), "attention": fed.tolist(), "layer": layer, "head": head}
    look.give(values, _table(flow, fed, top), flow.save)
    if figure is not None:
        from workbench.figures import attribution as draw

        what = "rollout" if rollout else "attention"
        lens_options.write_figure(
            figure, lambda: draw.flow_map(flow, what), lambda: draw.flow_print(flow, what)
        )


def _table(flow: "AttentionFlow", fed: "np.ndarray", top: int) -> str:
    """A line for each special token: the words that it gets most from, by attention and by rollout, and its entropy."""
    rolled = None if flow.rolled is None else flow.fed_by("rollout")
    head = ["token", "bits", "attention", *([] if rolled is None else ["rollout"])]
    rows = [
        [
            label,
            f"{flow.entropy[:, :, row].mean():.2f}",
            _most(flow.words.labels, fed[row], top),
            *([] if rolled is None else [_most(flow.words.labels, rolled[row], top)]),
        ]
        for row, label in enumerate(flow.labels)
    ]
    return f"{lens_options.plain_table(head, rows)}\n{flow.note}"


def _most(words: list[str], shares: "np.ndarray", top: int) -> str:
    """The words with the largest shares, the largest first; ties in the order of the text."""
    order = sorted(range(len(words)), key=lambda word: -shares[word])[:top]
    return "  ".join(f"{words[word]} {shares[word]:.2f}" for word in order)
