"""How the turns of a conversation are laid out, in words; what of a turn's items names the sequences of a study."""

from collections.abc import Sequence

from umbrella.files.studies import find_absent, find_named


def describe_layout(turns: Sequence[dict]) -> str:
    """ "text image | text | image text": the kinds of items of each turn. The scans of a study with their names, and
    the words for those that are not there, are one "study", whichever and however many they are."""
    return " | ".join(" ".join(_list_kinds(turn["content"])) for turn in turns)


def _list_kinds(items: Sequence[dict]) -> list[str]:
    kinds: list[str] = []
    for item, name in zip(items, _name_items(items), strict=True):
        kind = item["type"] if name is None else "study"
        if kind != "study" or kinds[-1:] != ["study"]:
            kinds.append(kind)
    return kinds


def drop_names(items: Sequence[dict]) -> list[dict]:
    """The items without the texts that name the sequences of a study; its scans stay."""
    names = _name_items(items)
    return [item for item, name in zip(items, names, strict=True) if name is None or item["type"] == "image"]


def list_sequences(items: Sequence[dict]) -> list[str]:
    """The sequences that a turn names, shown or not there, in their order; none where it shows no study."""
    names = _name_items(items)
    return [name for item, name in zip(items, names, strict=True) if name is not None and item["type"] == "text"]


def _name_items(items: Sequence[dict]) -> list[str | None]:
    """Of each item the sequence that it names or shows; None of all that is no part of a study."""
    names: list[str | None] = []
    named = None  # by the item before
    for place, item in enumerate(items):
        is_image = item["type"] == "image"
        name = named if is_image else find_absent(item["text"])
        named = None
        is_before_scan = not is_image and [other["type"] for other in items[place + 1 : place + 2]] == ["image"]
        if name is None and is_before_scan:
            name = named = find_named(item["text"])
        names.append(name)
    return names
