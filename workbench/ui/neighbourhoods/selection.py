"""Which points are selected: with undo and redo, and short enough ones in the URL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import streamlit as st

from workbench.errors import UsageError

Rows = tuple[int, ...]
KEPT = 50
"""Selections that can be undone."""
MOST = 300
"""Characters of a selection in the URL."""
PARAMETER, STATE = "rows", "selections"


@dataclass(frozen=True)
class History:
    """The selection, those before it, and those that were undone."""

    now: Rows = ()
    past: tuple[Rows, ...] = ()
    future: tuple[Rows, ...] = ()

    def choose(self, rows: Iterable[int]) -> History:
        """Another selection; the same one again changes nothing."""
        new = tuple(sorted(set(rows)))
        return self if new == self.now else History(new, (*self.past, self.now)[-KEPT:])

    def undo(self) -> History:
        """The selection before; where there is none, this one."""
        if not self.past:
            return self
        return replace(self, now=self.past[-1], past=self.past[:-1], future=(self.now, *self.future))

    def redo(self) -> History:
        """The selection that was undone last; where there is none, this one."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.now), self.future[1:])


def packed(rows: Rows) -> str:
    """Row numbers in order as the URL has them: "0-3,7"."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def unpacked(text: str, count: int) -> Rows:
    """The rows that `packed` wrote. Raises UsageError for what it did not write, or rows beyond `count`."""
    rows: set[int] = set()
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()) or len(run) > 20:
            raise UsageError(f"the link selects rows by numbers such as 0-3,7, not by {text[:40]!r}")
        if int(last or first) >= count:
            raise UsageError(f"the link selects row {last or first}, but the last one here is {count - 1}")
        rows.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(rows))


def history(key: str) -> History:
    """The selections of a source in this session."""
    return st.session_state.setdefault(STATE, {}).get(key, History())


def selected(key: str, count: int) -> Rows:
    """The selected points of a source; from the URL where the session has none. Raises UsageError as `unpacked`."""
    kept = st.session_state.setdefault(STATE, {})
    if key not in kept:
        kept[key] = History()
        kept[key] = History(unpacked(st.query_params.get(PARAMETER, ""), count))
    _write(kept[key].now)
    return kept[key].now


def choose(key: str, rows: Iterable[int]) -> None:
    """Selects rows of a source and opens the table of them."""
    _set(key, history(key).choose(rows))
    st.session_state["table-selection"] = True


def undo(key: str) -> None:
    """Takes the last selection back."""
    _set(key, history(key).undo())


def redo(key: str) -> None:
    """Does again what was undone."""
    _set(key, history(key).redo())


def in_link(rows: Rows) -> bool:
    """Whether a selection is short enough for the URL."""
    return len(packed(rows)) <= MOST


def _set(key: str, new: History) -> None:
    st.session_state.setdefault(STATE, {})[key] = new


def _write(rows: Rows) -> None:
    """Puts the selection into the URL, where it is short enough."""
    wanted = packed(rows) if in_link(rows) else ""
    if wanted and st.query_params.get(PARAMETER) != wanted:
        st.query_params[PARAMETER] = wanted
    elif not wanted and PARAMETER in st.query_params:
        del st.query_params[PARAMETER]
