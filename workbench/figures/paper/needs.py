"""What a figure needs of its results, declared in their own shape, and what a file lacks of it.

A dict needs its keys (others may be there), `str`, `bool`, `int` and `float` a value of that kind (a `float` any finite
number), `object` anything, and the classes below say the rest:
{"tokens": Many(str, "t"), "mask": Many(Many(float, "t"), "t")}.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

LARGEST = 1e300


class Many(NamedTuple):
    """A list, never empty. Where sizes have the same name within a record, they are the same."""

    of: Any
    size: str | int = ""
    every: tuple[str, ...] = ()
    """Keys of its records: a record for every combination of their values is there."""


class Named(NamedTuple):
    """Values by name, at least one; where sizes have the same name within a record, so have the values."""

    of: Any
    size: str | int = ""


class Maybe(NamedTuple):
    """A value, or null where there was nothing to measure."""

    of: Any


class OneOf(NamedTuple):
    """One of these."""

    values: Collection[Any]


class Like(NamedTuple):
    """A text in which this regular expression is found."""

    pattern: str


SHOWN = {"value": Maybe(float), "low": Maybe(float), "high": Maybe(float)}
"""A number with its interval, as `intervals` draws it."""
BOUNDS = Many(float, 3)
"""Mean, lower and upper end."""


def misfit(need: Any, value: Any, where: str, sizes: dict[str, Any] | None = None) -> str | None:
    """What is wrong with a value, in words that begin with "lack" or "do not fit"; None where it is as needed.

    `where` is its place in the results; `sizes` are those found so far in its record.
    """
    sizes = {} if sizes is None else sizes
    match need:
        case dict():
            return _in_record(need, value, where)
        case Many():
            return _in_list(need, value, where, sizes)
        case Named():
            return _by_name(need, value, where, sizes)
        case Maybe():
            return None if value is None else misfit(need.of, value, where, sizes)
        case OneOf():
            known = isinstance(value, str | int) and value in need.values
            return None if known else _not(where, value, f"one of {', '.join(map(str, need.values))}")
        case Like():
            fits = isinstance(value, str) and re.search(need.pattern, value)
            return None if fits else _not(where, value, f"a text like {need.pattern}")
    return None if _is(need, value) else _not(where, value, _KINDS[need])


def unwritable(value: Any, where: str) -> str | None:
    """What of a value no file of ours can say, in words as `misfit`'s: a number that is not finite, half a character.

    Raises RecursionError where it is nested too deeply to be looked through.
    """
    match value:
        case str() if not _is_whole(value):
            return _not(where, value, "whole characters")
        case float() if not math.isfinite(value):
            return _not(where, value, "a finite number")
        case dict():
            keys = _first(unwritable(key, f"a name in {where}") for key in value)
            return keys or _first(unwritable(part, f"{where}.{key}") for key, part in value.items())
        case list():
            return _first(unwritable(part, f"{where}[{row}]") for row, part in enumerate(value))
    return None


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_KINDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", object: "a value"}


def _is(kind: type, value: Any) -> bool:
    if kind in (int, float):
        number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
        return number and abs(value) <= LARGEST  # NaN is not
    return isinstance(value, kind)


def _in_record(need: Mapping[str, Any], value: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return _not(where, value, "values by name")
    if lacking := [f"{where}.{key}" for key in need if key not in value]:
        return f"lack {', '.join(lacking)}"
    sizes: dict[str, Any] = {}
    return _first(misfit(part, value[key], f"{where}.{key}", sizes) for key, part in need.items())


def _in_list(need: Many, value: Any, where: str, sizes: dict[str, Any]) -> str | None:
    if not isinstance(value, list) or not value:
        return _not(where, value, "a list with something in it")
    if wrong := _sized(need.size, len(value), where, sizes):
        return wrong
    if wrong := _first(misfit(need.of, one, f"{where}[{row}]", sizes) for row, one in enumerate(value)):
        return wrong
    found = {tuple(row[key] for key in need.every) for row in value} if need.every else {()}
    every = itertools.product(*(dict.fromkeys(row[key] for row in value) for key in need.every))
    missing = next((row for row in every if row not in found), None)
    return None if missing is None else f"lack a row of {where} for {', '.join(map(str, missing))}"


def _by_name(need: Named, value: Any, where: str, sizes: dict[str, Any]) -> str | None:
    if not isinstance(value, dict) or not value:
        return _not(where, value, "values by name")
    size = len(value) if isinstance(need.size, int) else sorted(value)
    wrong = _sized(need.size, size, where, sizes)
    return wrong or _first(misfit(need.of, one, f"{where}.{name}", sizes) for name, one in value.items())


def _sized(named: str | int, found: Any, where: str, sizes: dict[str, Any]) -> str | None:
    if named == "":
        return None
    wanted = named if isinstance(named, int) else sizes.setdefault(named, found)
    if found == wanted:
        return None
    return f"do not fit ({where} has {_listed(found)}, not {_listed(wanted)})"


def _listed(size: Any) -> str:
    return ", ".join(size) if isinstance(size, list) else f"{size} values"


def _not(where: str, value: Any, wanted: str) -> str:
    return f"do not fit ({where} is {value!r:.40}, not {wanted})"


def _first(found: Any) -> str | None:
    return next((wrong for wrong in found if wrong is not None), None)
