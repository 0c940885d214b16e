"""Several cohorts as one data set: rows named for their cohort, subjects and scans apart, other words for labels said.

`task_id` becomes NAME/task_id, `source` "NAME: train/x.json", and `metadata.cohort` is the name, a column to group by.
"""

from collections.abc import Mapping

from datasets import DatasetDict, concatenate_datasets

from umbrella.rows.cohort_labels import check_labels
from umbrella.rows.cohort_names import COHORT, OWN_COHORT, have_own_cohort, name_rows
from umbrella.rows.cohort_subjects import check_subjects, order_split
from umbrella.rows.same_scans import check_scans_apart


def join_cohorts(splits_of: Mapping[str, DatasetDict], same_ids: str | None) -> tuple[DatasetDict, list[str]]:
    """The splits of all cohorts, each with the rows of the cohorts in their order, and what is to be said of them.

    same_ids  whom one subject id in two cohorts means: "different" people, whose ids become NAME/id; the "same"
              person, whose rows are kept in the split furthest from training; None: the same, and no such person is in
              two splits

    Raises ValueError for an id in two splits of two cohorts where `same_ids` is None, FormatError for a scan that is.
    """
    splits_of, said = check_subjects(splits_of, same_ids)
    check_scans_apart(splits_of, same_ids)
    said += [*check_labels(splits_of), *_say_missing(splits_of)]
    named = {name: {split: name_rows(rows, name) for split, rows in of.items()} for name, of in splits_of.items()}
    splits = sorted({split for of in named.values() for split in of}, key=order_split)
    joined = {split: concatenate_datasets([of[split] for of in named.values() if split in of]) for split in splits}
    if any(have_own_cohort(rows) for rows in joined.values()):
        said.append(f"rows have a metadata.{COHORT} of their own: it stands in metadata.{OWN_COHORT} now")
    return DatasetDict(joined), said


def _say_missing(splits_of: Mapping[str, DatasetDict]) -> list[str]:
    every = {split for of in splits_of.values() for split in of}
    lacking = {name: sorted(every - set(of), key=order_split) for name, of in splits_of.items()}
    return [f"cohort {name} has no split {' and no '.join(splits)}" for name, splits in lacking.items() if splits]
