"""An artifact onto the Hugging Face hub, so that `load_embedder("you/name")` reads it anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.embedders.manifest import LAYOUT, Manifest, check_weights
from workbench.errors import UsageError
from workbench.hub import hub_reachable


def push_to_hub(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    message: str = "Upload an embedder",
) -> str:
    """Upload the artifact in `folder` to `repo_id` ("you/name"), which is made where it is missing; its commit's URL.

    The artifact's own files go up, nothing else that lies beside them. `revision` is a branch that exists; `token`
    is the one that `hf auth login` saved unless another is given. Raises UsageError for a folder without an artifact,
    for one whose backbone is a local folder (nobody else could load it), and where the hub refuses or is out of reach.
    """
    source = Path(folder)
    manifest = Manifest.read(source)
    check_weights(source, manifest)
    if (source / manifest.backbone).is_dir():
        raise UsageError(
            f"{source}: its backbone is the local folder {manifest.backbone}, which nobody else can load; push the "
            "backbone, and train or load and save the embedder with the backbone's hub id"
        )
    if repo_id.count("/") != 1 or repo_id.startswith((".", "/", "~")) or repo_id.endswith("/"):
        raise UsageError(f"{repo_id!r} is no repository of the hub: it must be like you/name")
    if not hub_reachable():
        raise UsageError(f"cannot push to {repo_id}: the hub is out of reach, or HF_HUB_OFFLINE is set")
    try:
        return _upload(source, repo_id, private, token, revision, message)
    except Exception as error:  # every way in which a hub can refuse means the same to the caller
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(f"the hub did not take {repo_id}: {reason} (`hf auth login` logs in)") from error


def _upload(
    source: Path, repo_id: str, private: bool, token: str | None, revision: str | None, message: str
) -> str:
    from huggingface_hub import HfApi

    api: Any = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    return api.upload_folder(
        repo_id=repo_id,
        folder_path=source,
        allow_patterns=list(LAYOUT),
        revision=revision,
        commit_message=message,
    ).commit_url
