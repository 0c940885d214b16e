"""Whether what the metadata say of a study's sequences is what its conversation shows. The evaluation goes by it."""

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
    if absent is not None and not (isinstance(absent, list) and all(isinstance(name, str) for name in absent)):
        problems.append(Problem("sequences", "metadata.absent", "a list of texts", repr(absent)[:60]))
    return problems
