"""Groups of so few subjects that their figures tell of single persons: what everybody can read is without them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

FEWEST = 5  # subjects of a group that is published
NOT_PUBLISHED = f"what is of fewer than {FEWEST} subjects, or would tell it, is not published"
MATCHED = " Of the rows matched on them: "  # begins what the sentence on confounds says of those


def hide_small_cells(cells: dict[str, int]) -> dict[str, int | None]:
    """Counts of one split's subjects for a page that everybody can read: None for 1 to 4, and for as many of the next
    larger ones as it takes that no hidden count follows from the shown ones and the sum. Of fewer than 5 subjects
    nothing is shown, zeros neither.
    """
    total = sum(cells.values())
    if total < FEWEST:
        return dict.fromkeys(cells)
    hidden = {name for name, n in cells.items() if 0 < n < FEWEST}
    larger = sorted((name for name, n in cells.items() if n >= FEWEST), key=lambda name: cells[name])
    while hidden and larger and (len(hidden) < 2 or sum(cells[name] for name in hidden) < FEWEST):
        hidden.add(larger.pop(0))
    return {name: None if name in hidden else n for name, n in cells.items()}


def withhold_small_groups(metrics: dict) -> dict:
    """A metrics.json as everybody may read it.

    Of groups of fewer than 5 subjects, and of those by which theirs could be reckoned, neither names nor figures are
    left, nor the sentences that name them; a sentence says how many are withheld. So with the rows that were matched
    on confounds, and with repeats. What is of all rows, of a true label or of a control stays.
    """
    published, evidence = dict(metrics), dict(metrics.get("evidence", {}))
    gaps = evidence.get("group_gaps", {}).get("by", {})
    by, of_gaps = dict(metrics.get("by", {})), dict(gaps)
    said, said_of_gaps = metrics.get("by_sentences", []), evidence.get("group_gaps", {}).get("sentences", [])
    for name in dict.fromkeys([*by, *gaps]):
        parts = gaps.get(name, {}).get("gaps", [])
        hidden = _find_hidden([by.get(name, {}), *map(_groups_of, parts[:1])])
        in_parts = hidden | _find_hidden(map(_groups_of, parts[1:]))
        if name in by:
            sentence = _say_withheld(name, hidden, by[name])
            by[name], said = _without(by[name], hidden), _leave(said, name, hidden) + sentence
        if name in gaps:
            of_gaps[name] = _hide_in_gaps(gaps[name], hidden, in_parts)
            said_of_gaps = _leave_of_gaps(said_of_gaps, name, gaps[name], of_gaps[name], hidden)
            everyone = {group for part in parts for group in _groups_of(part)}
            said_of_gaps += _say_withheld(name, hidden, everyone)
            said_of_gaps += _say_withheld(name, in_parts - hidden, everyone, "among the rows of one label ")
    if by != metrics.get("by", {}):
        published |= {"by": by, "by_sentences": said}
    if of_gaps != gaps:
        evidence["group_gaps"] = {**evidence["group_gaps"], "by": of_gaps, "sentences": said_of_gaps}
    if "site_tell" in evidence:
        evidence["site_tell"] = _hide_sites(evidence["site_tell"])
    if 0 < (evidence.get("repeatability", {}).get("n_subjects") or 0) < FEWEST:
        evidence["repeatability"] = _hide_repeats(evidence["repeatability"])
    if "confounds" in metrics:
        published["confounds"] = _hide_matched(metrics["confounds"])
    return published | ({"evidence": evidence} if "evidence" in metrics else {})


def shows_no_small_groups(page: str, metrics: dict) -> bool:
    """Whether a report's public page leaves out what is withheld of its metrics.json; pages of earlier versions do
    not."""
    return withhold_small_groups(metrics) == metrics or NOT_PUBLISHED in page


def _groups_of(part: dict) -> dict[str, dict]:
    return {**part["groups"], **part["left_out"]}


def _find_hidden(tables: Iterable[dict[str, dict]]) -> set[str]:
    """The groups that any of these must not show; one that does not say of how many subjects it is, is one."""
    sizes = [{group: entry.get("n_subjects") or 1 for group, entry in table.items()} for table in tables]
    return {group for of in sizes for group, n in hide_small_cells(of).items() if n is None}


def _without(groups: dict[str, Any], hidden: set[str]) -> dict[str, Any]:
    return {group: entry for group, entry in groups.items() if group not in hidden}


def _hide_in_gaps(found: dict, hidden: set[str], in_parts: set[str]) -> dict:
    """`hidden` of the gap among all rows, `in_parts` of those among the rows of each label, which add up to the first:
    a gap with a hidden end is not told, nor what is made of it."""
    gaps = []
    for part in found["gaps"]:
        of_part, gap = hidden if part["of"] is None else in_parts, part["gap"]
        shown = {name: _without(part[name], of_part) for name in ("groups", "left_out")}
        is_told = gap is not None and not {gap["best"], gap["worst"]} & of_part
        gaps.append({**part, **shown, "gap": gap if is_told else None})
    is_told = [part["gap"] is None for part in gaps] == [part["gap"] is None for part in found["gaps"]]
    return {**found, "gaps": gaps, "equalised_odds": found["equalised_odds"] if is_told else None}


def _hide_sites(entry: dict) -> dict:
    sizes = {**entry["groups"], **entry["left_out"]}
    hidden = {group for group, n in hide_small_cells(sizes).items() if n is None}
    if not hidden:
        return entry
    shown = {name: _without(entry[name], hidden) for name in ("groups", "left_out", "recall") if name in entry}
    said = [sentence for sentence in entry["sentences"] if not _names(sentence, hidden)]
    limits = [sentence for sentence in entry.get("limits", []) if sentence in said]
    return {**entry, **shown, "sentences": said + _say_withheld(entry["name"], hidden, sizes), "limits": limits}


def _hide_repeats(entry: dict) -> dict:
    sentence = f"Repeatability is withheld: {NOT_PUBLISHED}."
    shown = {"found_by": entry["found_by"], "n": None, "sentences": [sentence]}
    return shown | {"limits": [sentence] if entry.get("limits") else []}


def _hide_matched(confounds: dict) -> dict:
    every, *others = confounds["rows"]
    counts = [entry.get("n_subjects") or 1 for entry in (every, *others)]
    rows = [entry for entry, n in zip(confounds["rows"], counts, strict=True) if _is_shown_of(n, counts[0])]
    if len(rows) == len(counts) or counts[0] < FEWEST:
        return confounds
    sentence = f"{confounds['sentence'].partition(MATCHED)[0]} Of rows matched on them: {NOT_PUBLISHED}."
    return {**confounds, "rows": rows, "sentence": sentence}


def _is_shown_of(n: int, total: int) -> bool:
    return n == total or hide_small_cells({"part": n, "rest": total - n})["part"] is not None


def _leave(sentences: Sequence[str], name: str, hidden: set[str] | None) -> list[str]:
    """Without those on this name of the metadata that name a hidden group; without all of them for None."""
    title = name.replace("_", " ")
    about = (f"By {title}:", f"By {title},")
    return [
        sentence
        for sentence in sentences
        if not (sentence.startswith(about) and (hidden is None or _names(sentence[len(about[0]) :], hidden)))
    ]


def _leave_of_gaps(sentences: Sequence[str], name: str, found: dict, published: dict, hidden: set[str]) -> list[str]:
    is_told = found["gaps"][0]["gap"] == published["gaps"][0]["gap"]
    of_odds = f"By {name.replace('_', ' ')}, the equalised odds difference"
    are_odds_told = found["equalised_odds"] == published["equalised_odds"]
    return [
        sentence
        for sentence in _leave(sentences, name, hidden if is_told else None)
        if are_odds_told or not sentence.startswith(of_odds)
    ]


def _names(sentence: str, groups: set[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(group)}(?!\w)", sentence) for group in groups)


def _say_withheld(name: str, hidden: set[str], groups: Iterable[str], where: str = "") -> list[str]:
    if not hidden:
        return []
    n, n_all = len(hidden), len(list(groups))
    more = "more " if where else ""
    what = f"{n} {more}of {n_all} groups {'are' if n > 1 else 'is'}" if n < n_all else "all groups are"
    return [f"By {name.replace('_', ' ')}: {where}{what} withheld: {NOT_PUBLISHED}."]
