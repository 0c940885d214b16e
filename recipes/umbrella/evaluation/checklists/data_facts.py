"""What the data, their records and the model's card say for a reporting checklist."""

from collections import Counter

from umbrella.evaluation.checklists.fact import Known, Reader, say_absent, say_pairs
from umbrella.evaluation.checklists.participants import count_exclusions, count_shared, count_splits, describe_subjects
from umbrella.evaluation.checklists.run_files import ANSWERS, CARD, RunFiles
from umbrella.records.cohort import EXCLUSIONS, EXTERNAL, SPLITS_FILE
from umbrella.records.evaluations import METRICS
from umbrella.records.run import FILE_NAME as RUN_RECORD
from umbrella.records.run import fingerprint

ROWS, GIVEN = "the data's rows", "the names that were given"


def _read_exclusions(files: RunFiles) -> Known | str:
    if files.exclusions is None:
        return _say_unread(files, EXCLUSIONS)
    value = count_exclusions(files.exclusions, files.splits_file and files.splits_file["splits"])
    reasons = [f"{n} {reason}" for reason, n in value["reasons"].items()]
    if value["found"] is None:
        return Known(value, [f"how many were found is not known, {say_absent(SPLITS_FILE)}", *reasons])
    wholly = f"of {value['found']} participants {value['excluded']} were left out wholly, {value['used']} used"
    return Known(value, [wholly, *reasons])


def _say_unread(files: RunFiles, name: str) -> str:
    if files.n_cohorts > 1:
        return f"the {name} of each of {files.n_cohorts} data folders is not read here"
    return say_absent(name)


def _read_plan(files: RunFiles) -> Known | str:
    if files.splits_file is None:
        return _say_unread(files, SPLITS_FILE)
    plan = {name: value for name, value in files.splits_file.items() if name not in ("splits", "target")}
    sizes = {name: len(ids) for name, ids in files.splits_file["splits"].items()}
    here = [EXTERNAL] if files.is_held_out else list(files.splits)
    value = {**plan, "participants": sizes, "here": here, "sha256": files.splits_sha256}
    return Known(value, [*say_pairs(plan), f"sha256 {files.splits_sha256}"])


def _read_sizes(files: RunFiles) -> Known:
    sizes = count_splits(files.splits)
    words = [f"{name}: {n['rows']} rows of {n['subjects']} subjects" for name, n in sizes.items()]
    return Known(sizes, words + say_other_training(files))


def say_other_training(files: RunFiles) -> list[str]:
    """That the train split of these data is not what the model was trained on, where run.json tells."""
    trained = files.starts[-1].get("data", {}).get("train") if files.starts else None
    if trained is None or "train" not in files.splits or trained["sha256"] == fingerprint(files.splits["train"]):
        return []
    return [f"the model was trained on other rows than the train split here, {trained['rows']} ({RUN_RECORD})"]


def _read_disjoint(files: RunFiles) -> Known | str:
    if len(files.splits) < 2:
        return "the data have one split alone"
    value = count_shared(files.splits)
    shared = [f"{n} subjects are in both {pair.replace(',', ' and')}" for pair, n in value["shared"].items() if n]
    words = shared or ["no subject is in two splits, references included"]
    if value["rows_without_subject"]:
        words.append(f"{value['rows_without_subject']} rows name no subject, of whom it is not known")
    return Known(value, words)


def _read_demographics(files: RunFiles) -> Known | str:
    asked = (*files.metrics.get("by", {}), *files.metrics.get("confounds", {}).get("names", []))
    value = describe_subjects(files.splits, tuple(name.removesuffix("_bin") for name in asked))
    names = ", ".join(name.replace("_", " ") for name in value)
    if not value:
        return "the rows state nothing of their subjects"
    several = [name.replace("_", " ") for name, of in value.items() if any(split["several"] for split in of.values())]
    counted = f"rows of one subject differ in {', '.join(several)}: a subject counts by the first of its rows"
    words = [f"{names}, in the table of subjects", *([counted] if several else []), *say_other_training(files)]
    return Known(value, words)


def _read_modalities(files: RunFiles) -> Known:
    plain = {name: rows.with_format(None)["modalities"] for name, rows in files.splits.items()}
    value = {name: dict(Counter(one for of_row in rows for one in of_row)) for name, rows in plain.items()}
    words = [f"{name}: {', '.join(f'{n} {one}' for one, n in of.items()) or 'no scans'}" for name, of in value.items()]
    return Known(value, words)


def _read_model_name(files: RunFiles) -> Known | str:
    if files.model is None:
        return "the model is a folder here or was built here, not one of the Hub"
    commit = f" at {files.model['revision']}" if files.model["revision"] else ""
    return Known(files.model, [f"{files.model['name']}{commit} on the Hugging Face Hub"])


def _read_dataset_name(files: RunFiles) -> Known | str:
    name = files.metrics.get("dataset_name")
    return Known(name, [f"{name} on the Hugging Face Hub"]) if name else "the data are a folder here, not of the Hub"


def _read_licence(files: RunFiles) -> Known | str:
    if files.card is None:
        return f"the model has no card, {CARD}"
    licence = files.card.get("license")
    return Known(licence, [str(licence)]) if licence else f"the model's card, {CARD}, names no licence"


def _read_outputs(files: RunFiles) -> Known | str:
    if files.answers is None:
        return say_absent(ANSWERS)
    return Known(files.answers, [f"every answer is kept, {files.answers['lines']} (sha256 {files.answers['sha256']})"])


DATA_FACTS = {
    "exclusions": Reader("participants left out", EXCLUSIONS, _read_exclusions),
    "split_plan": Reader("how splits were drawn", SPLITS_FILE, _read_plan),
    "split_sizes": Reader("size of the splits", ROWS, _read_sizes),
    "disjoint": Reader("subjects in two splits", ROWS, _read_disjoint),
    "demographics": Reader("subjects by split", ROWS, _read_demographics),
    "modalities": Reader("scans", ROWS, _read_modalities),
    "model_on_hub": Reader("where the model is", GIVEN, _read_model_name),
    "dataset_on_hub": Reader("where the data are", METRICS, _read_dataset_name),
    "licence": Reader("licence of the model", CARD, _read_licence),
    "outputs": Reader("answers that are kept", ANSWERS, _read_outputs),
}
