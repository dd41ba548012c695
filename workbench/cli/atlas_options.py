"""Options that the commands of `workbench atlas` share."""

from typing import Annotated

import typer

StorePath = Annotated[
    str,
    typer.Option("--store", help="The store: a folder, or any URI that LanceDB takes (s3://, gs:// ...)."),
]
PromptName = Annotated[
    str | None,
    typer.Option("--prompt-name", help="An instruction of the embedder's, such as query or document."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object for each row.")]

SHOWN = 300
"""Characters of a text that are printed; --json gives all of them."""


def cut(text: str) -> str:
    """A text as it is printed."""
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
