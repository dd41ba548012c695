"""`workbench train teacher`: an LLM2Vec-style teacher from unlabelled texts, on the backbone itself."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import options, say
from workbench.embedders.config import LLM2VecConfig
from workbench.texts import TextTable, read_texts
from workbench.training.teacher_config import TeacherTraining


@options.with_flags(TeacherTraining, LLM2VecConfig)
def teacher(
    training: TeacherTraining,
    shape: LLM2VecConfig,
    texts: Annotated[
        str,
        typer.Option(
            "--texts", help="Texts (file or hub dataset id); a response beside one counts as a text too."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder of the trained teacher.")],
    backbone: options.BackboneName = "fieldguide",
    column: options.Column = None,
    split: Annotated[str, typer.Option("--split", help="Split of a hub dataset.")] = "train",
    limit: options.Limit = None,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run stopped.")] = True,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Train a teacher for LLM2Vec-Gen on the backbone itself (LLM2Vec).

    Attention in both directions, masked next-token prediction, then unsupervised SimCSE. The folder is what --teacher
    of the other commands takes, with the same backbone.
    """
    options.check_folder(output)
    table = read_texts(texts, column, split=split, limit=limit)
    say.note_left_out(table.left_out, table.source)

    from workbench.backbone import Backbone
    from workbench.embedders.artifact import Manifest
    from workbench.training.mntp_simcse import train

    model = Backbone.load(
        backbone, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code
    )
    made = train(model, _all_texts(table), training, shape, output=output, resume=resume)
    counts = Manifest.read(output).training
    if left_out := counts["left_out_texts"]:
        say.note(f"{left_out} texts were left out (a copy of another, or a single token)")
    say.note_truncated(counts["truncated_texts"], counts["texts"])
    say.note(f"a teacher of dimension {made.dimension} in {output}")


def _all_texts(table: TextTable) -> list[str]:
    """The texts of the table, then the responses that stand beside them."""
    beside = [row.get("response") for row in table.rows]
    return table.texts + [told for told in beside if isinstance(told, str) and told.strip()]
