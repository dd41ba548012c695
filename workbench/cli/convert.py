"""`workbench convert`: a checkpoint of the official LLM2Vec-Gen release becomes an artifact of this package."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import options, say
from workbench.errors import UsageError


def convert(
    checkpoint: Annotated[str, typer.Argument(help="The official checkpoint: a folder, or a hub id.")],
    output: Annotated[Path, typer.Argument(help="Folder of the artifact.")],
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Instead of the base model that the checkpoint names.")
    ] = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Write an embedder of the official LLM2Vec-Gen release as an artifact: no pickle, and a fingerprint.

    The artifact gives the vectors that the checkpoint gives. Its base model is read to take its fingerprint.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"the output is a file: {output}")
    options.check_parent(output / "config.json")

    from workbench.embedders.artifact import folder_of, load_embedder, save
    from workbench.embedders.official import is_checkpoint

    folder = folder_of(checkpoint, revision)
    if not is_checkpoint(folder):
        raise UsageError(f"{checkpoint} is no checkpoint of the official LLM2Vec-Gen release")
    if is_checkpoint(output):
        raise UsageError(f"the output is an official checkpoint itself: {output}; name another folder")
    embedder = load_embedder(
        folder, backbone=backbone, device=device, dtype=dtype, trust_remote_code=trust_remote_code
    )
    save(embedder, output, training={"converted_from": checkpoint})
    say.note(f"{embedder.method} of dimension {embedder.dimension}, converted from {checkpoint}, in {output}")
