"""Whether what the metadata say of a study's sequences is what its conversation shows. The evaluation goes by it."""

from collections import defaultdict

from umbrella.files.studies import explain_suffixes
from umbrella_dataset import Problem, find_problems


def find_record_problems(record: object) -> list[Problem]:
    """The structural problems of a record; of one without any, those of `suffixes` and `absent`."""
    problems = find_problems(record)
    if problems or not isinstance(record, dict):
        return problems
    metadata = record.get("metadata") or {}
    suffixes, absent = metadata.get("suffixes"), metadata.get("absent")
    if suffixes is not None and (fault := explain_suffixes(suffixes, record["conversations"])):
        problems.append(Problem("sequences", "metadata.suffixes", *fault))
    elif suffixes is not None:
        problems += _find_doubled([image["path"] for image in record["images"]], suffixes)
    if absent is not None and not (isinstance(absent, list) and all(isinstance(name, str) for name in absent)):
        problems.append(Problem("sequences", "metadata.absent", "a list of texts", repr(absent)[:60]))
    return problems


def _find_doubled(paths: list[str], suffixes: list[str]) -> list[Problem]:
    """A scan that stands under two names."""
    found = defaultdict(set)
    for path, suffix in zip(paths, suffixes, strict=True):
        found[path].add(suffix)
    doubled = [(path, names) for path, names in found.items() if len(names) > 1]
    expected = "a scan of its own for each sequence"
    return [
        Problem("sequences", "images", expected, f"{path} as {' and '.join(sorted(names))}") for path, names in doubled
    ]
