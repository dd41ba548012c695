"""What every frozen configuration can do: refuse unknown keys, explain its fields, go to JSON and come back."""

import ast
import functools
import inspect
import itertools
import json
import textwrap
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar

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
        """The configuration from plain values; raises UsageError for a key that no field has."""
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(values) - known):
            raise UsageError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**values)

    @classmethod
    def from_json(cls: type[ConfigT], text: str) -> ConfigT:
        """The configuration from JSON; raises UsageError for an unknown key or text that is not JSON."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"{cls.__name__}: not JSON ({error})") from error
        return cls.from_dict(values)

    @classmethod
    def help(cls) -> dict[str, str]:
        """Every field's docstring (the string literal under it), its base's where it has none of its own."""
        return {
            name: note for kind in reversed(cls.__mro__) for name, note in _field_docstrings(kind).items()
        }


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
