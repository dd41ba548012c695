"""Types of the metadata columns: found in what a file holds, and the values as they are stored."""

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE, _DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})"), re.compile(r"-?(0|[1-9]\d*)\.\d+")


def kind(value: Any, written: bool) -> set[str]:
    """The kind of a value (none for no value); where values are `written`, numbers are known by how they look."""
    if value is None or (written and value == ""):
        return set()
    if written:
        return {"int" if _WHOLE.fullmatch(value) else "float" if _DECIMAL.fullmatch(value) else "text"}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"int" if -(2**63) <= value < 2**63 else "text"}
    return {{bool: "bool", float: "float"}.get(type(value), "text")}


def type_of(kinds: set[str]) -> "pa.DataType":
    """The type of a column that holds values of those kinds."""
    import pyarrow as pa

    if kinds == {"bool"}:
        return pa.bool_()
    if kinds == {"int"}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {"int", "float"} else pa.string()


def storable(type: "pa.DataType") -> "pa.DataType":
    """The type that a parquet column is stored as."""
    import pyarrow as pa

    if pa.types.is_dictionary(type):
        type = type.value_type
    if pa.types.is_integer(type) and type != pa.uint64():
        return pa.int64()
    if pa.types.is_floating(type):
        return pa.float64()
    return (
        type
        if pa.types.is_boolean(type) or pa.types.is_date(type) or pa.types.is_timestamp(type)
        else pa.string()
    )


def stored(value: Any, type: "pa.DataType") -> Any:
    """A value as its column stores it: what does not fit a column of texts becomes JSON."""
    import pyarrow as pa

    if value is None or (value == "" and not pa.types.is_string(type)):
        return None
    if pa.types.is_string(type):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if pa.types.is_integer(type):
        return int(value)
    return float(value) if pa.types.is_floating(type) else value
