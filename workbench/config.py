"""What every frozen configuration can do: refuse unknown keys, explain its fields, go to JSON and come back."""

import ast
import functools
import inspect
import itertools
import json
import textwrap
from dataclasses import MISSING, asdict, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from workbench.errors import UsageError

ConfigT = TypeVar("ConfigT", bound="Config")


class Config:
    """Mixin of a frozen dataclass whose fields are plain JSON values."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)  # type: ignore[call-overload]

    def to_json(self) -> str:
        """All fields as sorted JSON."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True)

    @classmethod
    def from_dict(cls: type[ConfigT], values: dict[str, Any]) -> ConfigT:
        """The configuration from plain values.

        Raises UsageError for a key that no field has, a field that must be there, or a value of another kind.
        """
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(values) - known):
            raise UsageError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
        if lacking := [name for name in needed if name not in values]:
            raise UsageError(f"{cls.__name__} lacks {', '.join(lacking)}")
        for name, hint in get_type_hints(cls).items():
            if name in values and not _fits(values[name], hint):
                raise UsageError(f"{cls.__name__}: {name} cannot be {str(values[name])[:80]!r}")
        return cls(**values)

    @classmethod
    def from_json(cls: type[ConfigT], text: str) -> ConfigT:
        """The configuration from JSON; raises UsageError for an unknown key or text that is not JSON."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{cls.__name__}: not JSON ({error})") from error
        if not isinstance(values, dict):
            raise UsageError(f"{cls.__name__}: no settings by name, but {type(values).__name__}")
        return cls.from_dict(values)

    @classmethod
    def help(cls) -> dict[str, str]:
        """Every field's docstring (the string literal under it), its base's where it has none of its own."""
        return {
            name: note for kind in reversed(cls.__mro__) for name, note in _field_docstrings(kind).items()
        }


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain JSON value is what a field's annotation says."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if kind is Literal:
        return isinstance(value, str) and value in inner
    if kind in (list, tuple):
        return isinstance(value, list | tuple) and all(_fits(each, inner[0]) for each in value)
    if kind is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    if hint is Any:
        return True
    if hint in (int, float):
        return type(value) is int or (hint is float and type(value) is float)
    return not isinstance(hint, type) or isinstance(value, hint)


@functools.cache
def _field_docstrings(cls: type) -> dict[str, str]:
    if not is_dataclass(cls):
        return {}
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: " ".join(inspect.cleandoc(note.value.value).split())
        for field, note in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(note, ast.Expr)
        and isinstance(note.value, ast.Constant)
        and isinstance(note.value.value, str)
    }
