"""How well a site, or another group of the metadata, can be told from the vision encoder's features.

A linear classifier is fitted on the features of some subjects and asked about the others, in turn. Where it tells the
sites, so could the model: what differs between them may then stand in for what is asked.
"""

from collections import Counter

import numpy as np
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from umbrella.evaluation.evidence.encoder_features import encode_scans
from umbrella.evaluation.evidence.evidence import Evidence
from umbrella.evaluation.results import group_rows, subjects_of_rows
from umbrella.evaluation.statistics.intervals import number_subjects, share_interval
from umbrella.evaluation.statistics.notation import percent
from umbrella.rows.scan_places import find_subject_places

MOST_SCANS = 500
PARTS = 5
LEAST_SUBJECTS = PARTS  # of a group: one in each part
NOT_STATED = "not stated"


def tell_sites(evidence: Evidence) -> dict | None:
    """The entry: `value` (balanced accuracy), `interval` by subject, `chance`, each group's recall; None where it was
    not asked for. Each distinct scan of a row's subject counts once; at most 500, drawn by the seed."""
    name = evidence.asked.site_tell
    if name is None:
        return None
    scans, groups, subjects = _list_scans(evidence.rows, name)
    sizes = Counter(group for group, _ in dict.fromkeys(zip(groups, subjects, strict=True)))
    used = sorted(group for group, n in sizes.items() if n >= LEAST_SUBJECTS and group != NOT_STATED)
    left_out = {group: n for group, n in sorted(sizes.items()) if group not in used}
    entry = {"name": name, "groups": {group: sizes[group] for group in used}, "left_out": left_out, "value": None}
    if len(used) < 2:
        why = f"it takes two with {LEAST_SUBJECTS} subjects or more"
        sentences = [f"Whether {name} can be told from the encoder's features is not known: {why}."]
        return entry | {"sentences": [*sentences, f"There are {_say(sizes) or 'none'}."]}
    kept = [i for i, group in enumerate(groups) if group in used]
    if len(kept) > MOST_SCANS:
        draw = np.random.default_rng(evidence.asked.seed)
        kept = sorted(draw.choice(kept, MOST_SCANS, replace=False).tolist())
    # Features that a cache keeps are those of the projector's input, not of a scan alone.
    transform = evidence.asker.make_transform(feature_cache=None)
    features = encode_scans(evidence.asker.model, transform, [scans[i] for i in kept])
    if features is None:
        why = "this model's encoder cannot be asked without the rest of it"
        return entry | {"sentences": [f"Whether {name} can be told from the encoder's features is not known: {why}."]}
    told = tell_groups(features, [groups[i] for i in kept], [subjects[i] for i in kept], evidence.asked.seed)
    sentences = _say_told(name, entry | told, len(kept))
    limits = sentences[:1] if told["interval"][0] > told["chance"] else []
    return entry | told | {"n": len(kept), "sentences": sentences, "limits": limits}


def tell_groups(features: np.ndarray, groups: list[str], subjects: list[str], seed: int = 0) -> dict:
    """Balanced accuracy with which groups are told from (n, channels) features, cross-validated by subject: `value`,
    `interval`, `chance`, `recall` by group, `n_subjects`.

    Logistic regression on standardised features, groups weighted alike. The interval is that of a mean of shares of
    the groups' scans, over subjects.
    """
    kinds = np.array(groups)
    parts = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    codes = number_subjects(subjects)
    answered = cross_val_predict(model, features, kinds, groups=codes, cv=list(parts.split(features, kinds, codes)))
    right = answered == kinds
    recall = {group: float(right[kinds == group].mean()) for group in sorted(set(groups))}
    return {
        "value": float(np.mean(list(recall.values()))),
        "interval": share_interval(right, subjects, strata=groups),
        "chance": 1 / len(recall),
        "recall": recall,
        "n_subjects": int(codes.max()) + 1,
    }


def _list_scans(rows: Dataset, name: str) -> tuple[list[dict], list[str], list[str]]:
    """The scans of each row's subject, each once; its group and its subject."""
    found: dict[tuple, tuple[dict, str, str]] = {}
    for row, group, subject in zip(
        rows.with_format(None), group_rows(rows, name), subjects_of_rows(rows), strict=True
    ):
        for scan in (row["images"][place] for place in find_subject_places(row)):
            key = (scan["path"], len(found) if scan.get("bytes") else None, group, subject)
            found.setdefault(key, (scan, group, subject))
    scans, groups, subjects = zip(*found.values(), strict=True) if found else ((), (), ())
    return list(scans), list(groups), list(subjects)


def _say(sizes: Counter) -> str:
    return ", ".join(f"{group} with {n} subject{'s' * (n != 1)}" for group, n in sorted(sizes.items()))


def _say_told(name: str, entry: dict, n: int) -> list[str]:
    low, high = entry["interval"]
    start = f"From the encoder's features a linear classifier tells {name}"
    if low > entry["chance"]:
        said = f"{start}: the model could answer by it where it goes with the answer"
    else:
        said = f"That {name} can be told from the encoder's features is not shown"
    sentences = [
        f"{said}. Balanced accuracy {percent(entry['value'])} (95 % interval {percent(low)} to {percent(high)}; "
        f"chance {percent(entry['chance'])}; {n} scans of {entry['n_subjects']} subjects, cross-validated by subject)."
    ]
    if entry["left_out"]:
        sentences.append(
            f"Left out, for fewer than {LEAST_SUBJECTS} subjects or no {name}: {_say(Counter(entry['left_out']))}."
        )
    return sentences
