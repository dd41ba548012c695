"""The shipped atlas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from workbench.errors import UsageError
from workbench.files import shipped

if TYPE_CHECKING:
    from workbench.atlas.prebuilt import Atlas


def atlas() -> Atlas:
    """The shipped atlas. Raises UsageError where there is none."""
    path = shipped("atlas", "default.parquet")
    return _atlas(str(path), path.stat().st_mtime_ns)


def has_atlas() -> bool:
    """Whether an atlas is shipped at all; two of three pages do without it."""
    try:
        shipped("atlas", "default.parquet")
    except UsageError:
        return False
    return True


@st.cache_resource(show_spinner=False, max_entries=2)
def _atlas(path: str, changed: int) -> Atlas:
    from workbench.atlas.prebuilt import load

    return load(path)
