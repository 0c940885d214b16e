"""The JSON texts of Arrow values, as `json.dumps(value, sort_keys=True)` writes them, for many values at once."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from umbrella.files.arrow_tables import regroup

NULL = "null"
AS_IT_IS = r"\A[ -~]*\z"  # signs that stand in JSON as they are, once `\` and `"` are escaped


def to_json(values: pa.Array) -> pa.Array:
    """An array of the values' JSON texts."""
    kind = values.type
    if pa.types.is_null(kind):
        return pa.array([NULL] * len(values), pa.large_string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _quote(values.cast(pa.large_string()))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.large_string()).fill_null(NULL)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return list_texts(values, to_json(values.flatten()))
    if pa.types.is_struct(kind):
        names = sorted(field.name for field in kind)
        pairs = [_join(json.dumps(name) + ": ", to_json(pc.struct_field(values, name))) for name in names]
        return _unless_null(values, _join("{", *_separate(pairs), "}"))
    return pa.array([json.dumps(value, sort_keys=True) for value in values.to_pylist()], pa.large_string())


def list_texts(lists: pa.Array, texts: pa.Array) -> pa.Array:
    """The JSON texts of lists whose elements have these `texts`."""
    separator = pa.scalar(", ", pa.large_string())
    return _unless_null(lists, _join("[", pc.binary_join(regroup(lists, texts), separator), "]"))


def join_texts(*texts: pa.Array) -> pa.Array:
    """The JSON texts of lists of n elements each: of `n` arrays of JSON texts."""
    return _join("[", *_separate(list(texts)), "]")


def _separate(texts: list[pa.Array]) -> list[pa.Array | str]:
    separated: list[pa.Array | str] = []
    for text in texts:
        separated += [", ", text] if separated else [text]
    return separated


def _join(*parts: pa.Array | str) -> pa.Array:
    scalars = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, pa.scalar("", pa.large_string()))


def _unless_null(values: pa.Array, texts: pa.Array) -> pa.Array:
    return pc.if_else(values.is_valid(), texts, NULL) if values.null_count else texts


def _quote(values: pa.Array) -> pa.Array:
    escaped = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), '"', '\\"')
    texts = _join('"', escaped, '"')
    others = pc.fill_null(pc.invert(pc.match_substring_regex(values, AS_IT_IS)), False)
    if pc.any(others).as_py():
        of_others = [json.dumps(value) for value in values.filter(others).to_pylist()]
        texts = pc.replace_with_mask(texts, others, pa.array(of_others, pa.large_string()))
    return texts.fill_null(NULL)
