"""What may be said of a model's training subjects: who is among them, who is not, and where that is not known."""

from datasets import Dataset

from umbrella.records.training_data import (
    TrainingData,
    count_without_subject,
    modalities_of,
    read_training_data,
    subjects_of,
)


def guard_against_leakage(
    model_name_or_path: str,
    rows: Dataset,
    split: str,
    allow_overlap: bool,
    kind: str = "evaluated",
    remedy: str = "Evaluate another split",
) -> str:
    """A sentence for the report on what is known of the overlap with the training data.

    kind    what the sentences call the rows
    remedy  what else can be done than to allow the overlap

    Raises ValueError where a subject of the rows is in the training data (unless `allow_overlap`), or where the rows
    have a modality that training did not.
    """
    seen = read_training_data(model_name_or_path)
    foreign = sorted(modalities_of(rows) - seen.modalities)
    if foreign and seen.modalities:
        raise ValueError(
            f"--split {split}: expected scans of {', '.join(sorted(seen.modalities))}, which {model_name_or_path} was "
            f"trained on; found {', '.join(foreign)}. Keep the rows that fit: "
            f"--modalities {' '.join(sorted(seen.modalities))}"
        )
    subjects = subjects_of(rows)
    overlap, doubts = seen.find_overlap(subjects), _doubts(seen)
    if (nameless := count_without_subject(rows)) and (seen.seen or doubts):
        doubts.insert(0, f"{_count_rows(nameless, kind)} no subject")
    if not overlap:
        return _exclude(model_name_or_path, seen, subjects, doubts, kind)
    found = f"{'at least ' if doubts else ''}{len(overlap)} of {len(subjects)}"
    if not allow_overlap:
        raise ValueError(
            f"--split {split}: expected subjects that {model_name_or_path} was not trained on, references included; "
            f"found {found} in its training data, the first {overlap[0]!r}. {remedy}, or "
            "state the overlap in the report with --allow_subject_overlap"
        )
    return (
        f"WARNING: {found} subjects of the {kind} rows are in the training data "
        "(--allow_subject_overlap): these numbers do not tell how the model does on new subjects."
    )


def describe_training_data(seen: TrainingData) -> str:
    """One line for a person: rows and subjects of each start, and what is not known."""
    starts = [
        f"{rows.rows} rows of {len(rows.subject_sha256)} subjects, {', '.join(rows.modalities) or 'no scans'}"
        for rows in seen.seen
    ]
    known = "; then ".join(starts) or ("" if seen.unknown else "nothing")
    return "; ".join(filter(None, [known, *_doubts(seen)]))


def _exclude(name: str, seen: TrainingData, subjects: set[str], doubts: list[str], kind: str) -> str:
    """What is known where no subject was found: ids are compared, and one person may have two."""
    if not doubts:
        why = "" if seen.seen else f": {name} was never trained"
        return f"No subject id of the {kind} rows, references included, is in the training data{why}."
    if not subjects or not seen.count_comparable():
        return f"Not known: {'; '.join(doubts)}, so an overlap cannot be excluded."
    return (
        f"No subject id of the {kind} rows, references included, is among the {seen.count_comparable()} that are "
        f"recorded{' openly' if seen.hidden else ''}; {'; '.join(doubts)}, so an overlap cannot be excluded."
    )


def _doubts(seen: TrainingData) -> list[str]:
    doubts = []
    if nameless := sum(rows.without_subject or 0 for rows in seen.seen):
        doubts.append(f"{_count_rows(nameless, 'training')} no subject")
    if any(rows.without_subject is None and rows.rows_sha256 is not None for rows in seen.seen):
        doubts.append("whether each training row names a subject is not recorded")
    if seen.unknown:
        names = " and ".join(seen.unknown)
        were = f"{'was' if len(seen.unknown) == 1 else 'were'} trained on{' before' if seen.seen else ''}"
        doubts.append(f"what {names} {were} is not known")
    if seen.hidden:
        doubts.append("some subjects are recorded under a key that stays with the publisher")
    return doubts


def _count_rows(n: int, kind: str) -> str:
    return f"{n} {kind} row names" if n == 1 else f"{n} {kind} rows name"
