"""`workbench push`: a saved embedder onto the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import say


def push(
    folder: Annotated[Path, typer.Argument(help="The embedder's folder.")],
    repo_id: Annotated[str, typer.Argument(help="Where to: you/name; made where it is missing.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", help="A branch that exists, instead of main.")
    ] = None,
    message: Annotated[str, typer.Option("--message", help="What the commit says.")] = "Upload an embedder",
) -> None:
    """Upload an embedder to the hub, as who `hf auth login` (or HF_TOKEN) says; its model card goes with it."""
    from workbench.embedders.publish import push_to_hub

    url = push_to_hub(folder, repo_id, private=private, revision=revision, message=message)
    say.note(f"{folder} is at {url}")
