"""`workbench lens`: what stands in the special tokens, layer by layer, and what causes it."""

import typer

from workbench.cli import lens_attention, lens_attribution, lens_latent, lens_mask, lens_tokens

app = typer.Typer(
    help="Look into an embedder's special tokens: what they hold, layer by layer, and what causes it.",
    rich_markup_mode=None,
)
app.command("logit")(lens_tokens.logit)
app.command("tuned")(lens_tokens.tuned)
app.command("patchscope")(lens_tokens.patchscope)
app.command("grid")(lens_tokens.grid)
app.command("train-tuned")(lens_tokens.train_tuned)
app.command("attention")(lens_attention.attention)
app.command("mask")(lens_mask.mask)
app.command("attribute")(lens_attribution.attribute)
app.command("patch")(lens_attribution.patch)
app.command("verify")(lens_attribution.verify)
app.command("index")(lens_latent.index)
app.command("latent")(lens_latent.latent)


@app.callback()
def _lens() -> None:
    """Look into an embedder's special tokens: what they hold, layer by layer, and what causes it."""
