"""Readings with badges as the tools show them: in one line, as a list, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.ui import parts

if TYPE_CHECKING:
    import pandas as pd

    from workbench.ui.loaders import Said


def card(title: str, said: Said) -> None:
    """One reading with how far to trust it."""
    badge = said.badge
    below = f"Trust: {badge.level} · cosine {parts.cosine(badge.cosine)}, others {parts.cosine(badge.null)}"
    parts.show(parts.card(title, below, parts.plain(said.text), accent=True))


def listed(labels: Sequence[str], said: Sequence[Said], chosen: int | None = None) -> None:
    """Readings one below the other; the chosen one stands out."""
    pairs = zip(labels, said, strict=True)
    rows = [(label, one.text, one.badge.level, one.badge.cosine) for label, one in pairs]
    parts.show(parts.readings(rows, chosen))


def table(labels: Sequence[str], said: Sequence[Said]) -> pd.DataFrame:
    """What was read with every number of its badge."""
    import pandas as pd

    rows = zip(labels, said, strict=True)
    return pd.DataFrame([{"of": label, "decoded": one.text, **one.badge.to_dict()} for label, one in rows])
