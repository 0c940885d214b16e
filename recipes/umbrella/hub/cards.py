"""Dataset and model cards, from the templates in card_templates/."""

import re
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from huggingface_hub import DatasetCard, DatasetCardData, ModelCard, ModelCardData

from umbrella.answers.label_parsing import count_labels
from umbrella.files.json_files import read_json
from umbrella.hub.eval_results import TASK, build_results, list_values
from umbrella.hub.model_code import list_packages
from umbrella.models.volumes.processor import VolumeProcessor
from umbrella.options.push_arguments import PushDatasetArguments, PushModelArguments
from umbrella.privacy.search import Finding, to_findings
from umbrella.records.leakage import describe_training_data
from umbrella.records.limits import list_limits, takes_rows_as_independent
from umbrella.records.recipe import load_recipe
from umbrella.records.recipe_file import FILE_NAME as RECIPE_FILE
from umbrella.records.run import read_run_record
from umbrella.records.training_data import read_training_data, subjects_of

TEMPLATES = Path(__file__).parent / "card_templates"
SCANS = {
    "none": "not included; rows name them relative to a folder that you have (`--image_root`)",
    "files": "NIfTI or FreeSurfer files under `scans/`, at the names that the rows give",
    "embed": "in the table, `images[].bytes` (NIfTI or FreeSurfer files)",
}
CONTACT = ("e-mail", "web address", "host name", "institution", "postal address", "phone number")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def build_dataset_card(
    rows: DatasetDict, repo_id: str, options: PushDatasetArguments, allowed: dict[str, int], n_bytes: int
) -> DatasetCard:
    """The card of a data folder's publication.

    Args:
        options: `PushDatasetArguments`.
        allowed: kinds of personal data that are published as they are, and how often each.
    """
    n_rows = sum(map(len, rows.values()))
    modalities = sorted({name for split in rows.values() for of_row in split["modalities"] for name in of_row})
    data = DatasetCardData(
        license=options.license,
        language=options.languages,
        pretty_name=repo_id.split("/")[-1],
        task_categories=["visual-question-answering", TASK],
        tags=["medical", "neuroimaging", "nifti", *modalities],
        size_categories=[next((name for most, name in _SIZES if n_rows < most), "n>1M")],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in rows],
            }
        ],
    )
    tasks = Counter(task for split in rows.values() for task in split["task_type"])
    return DatasetCard.from_template(
        data,
        template_path=str(TEMPLATES / "dataset.md"),
        repo_id=repo_id,
        splits=[_describe_split(name, split) for name, split in rows.items()],
        modalities=", ".join(modalities) or "none",
        tasks=", ".join(f"{to_markdown(task)} ({n})" for task, n in sorted(tasks.items())),
        n_megabytes=max(1, round(n_bytes / 1e6)),
        scans=SCANS[options.scans],
        nifti_feature=options.nifti_feature,
        needs_image_root=options.scans == "none",
        with_script=options.with_script,
        scrubbed=options.scrub,
        allowed=sorted(allowed.items()),
        scans_checked=options.scans != "none",
        dua=options.dua,
    )


def to_markdown(text: str) -> str:
    """Text that Markdown shows sign by sign, on one line: no mark, no border of a table, no HTML, no formula."""
    escaped = re.sub(r"[\\`*_\[\]|$~]", r"\\\g<0>", escape(" ".join(text.split()), quote=False))
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in escaped)


def find_in_flags(options: PushDatasetArguments) -> list[Finding]:
    """Findings in what the publisher wrote for the card, `PushDatasetArguments`; whom to turn to may stand there."""
    found = to_findings("README.md", "--dua", options.dua or "") + to_findings(
        "README.md", "--license", options.license
    )
    return [finding for finding in found if finding.kind not in CONTACT]


def _describe_split(name: str, rows: Any) -> dict:
    plain = rows.with_format(None)
    labels = count_labels(entry["subject_label"] for entry in plain["metadata"] if entry["subject_label"])
    return {
        "name": name,
        "rows": len(rows),
        "subjects": len(subjects_of(rows)),
        "scans": len({scan["path"] for images in plain["images"] for scan in images}),
        "labels": ", ".join(f"{to_markdown(label)} ({n})" for label, n in labels.most_common(6)),
    }


def build_model_card(folder: Path, repo_id: str, options: PushModelArguments, allowed: dict[str, int]) -> ModelCard:
    """The card of a staged model.

    Args:
        folder: see `umbrella.hub.model.stage_model`.
        options: `PushModelArguments`.
        allowed: kinds of personal data that are published as they are, and how often each.
    """
    starts = read_run_record(folder)
    last = starts[-1] if starts else {}
    seen = read_training_data(folder)
    base_model = options.base_model or seen.find_hub_model()
    evaluations = {path.parent.name: _read_json(path) for path in sorted(folder.glob("eval*/metrics.json"))}
    results = build_results(evaluations)
    data = ModelCardData(
        license=options.license,
        language=options.languages,
        base_model=base_model,
        library_name="transformers",
        pipeline_tag=TASK,
        tags=["medical", "neuroimaging", "nifti", *sorted(seen.modalities)],
        model_name=repo_id.split("/")[-1] if results else None,
        eval_results=results or None,
    )
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATES / "model.md"),
        repo_id=repo_id,
        base_model=base_model,
        commands=[start["command"] for start in starts],
        versions=last.get("versions", {}),
        splits=last.get("data", {}),
        trained_on=describe_training_data(seen),
        recipe=_read_json(folder / RECIPE_FILE),
        shown=_describe_view(folder),
        of_volumes=is_of_volumes(folder),
        needed=", ".join(list_packages(folder)),
        limits=_list_limits(evaluations),
        evaluations=[_describe_evaluation(metrics) for metrics in evaluations.values()],
        has_report=any(folder.glob("eval*/report.html")),
        allowed=sorted(allowed.items()),
    )


def _describe_view(folder: Path) -> str:
    """How the model is shown a scan; empty where no recipe says."""
    recipe = load_recipe(str(folder))
    return recipe.settings.describe() if recipe else ""


def is_of_volumes(folder: Path) -> bool:
    """Whether a staged model takes whole volumes, and so needs a class of this library."""
    return _read_json(folder / "processor_config.json").get("processor_class") == VolumeProcessor.__name__


def _read_json(path: Path) -> dict:
    return read_json(path, dict) if path.is_file() else {}


def _list_limits(evaluations: dict[str, dict]) -> list[str]:
    """What the evaluations found against the model, each with its folder where there are several."""
    where = {folder: f"{folder}: " if len(evaluations) > 1 else "" for folder in evaluations}
    found = {folder: list_limits(metrics) for folder, metrics in evaluations.items()}
    return [to_markdown(where[folder] + sentence) for folder, of in found.items() for sentence in of]


def _describe_evaluation(metrics: dict) -> dict:
    """The table of one metrics.json: metrics and controls with their 95 % intervals, and what speaks for the model of
    what it says; what speaks against it stands with the limits."""
    rows = [(name.replace("_", " "), f"{value:.3f}", interval) for name, value, interval in list_values(metrics)]
    unknown = [name for name in metrics.get("undefined", {}) if name in metrics.get("metrics", {})]
    rows += [(name.replace("_", " "), "not known", None) for name in unknown]
    rows += [
        (f"{title}, {entry['title']}", f"{entry[key]:.3f}", entry[f"{key}_interval"])
        for entry in metrics.get("controls", {}).values()
        for key, title in (("accuracy", "accuracy"), ("mae", "mean absolute error"))
        if key in entry
    ]
    limits = list_limits(metrics)
    said = [sentence for sentence in (metrics.get("leakage") or "", *_list_verdicts(metrics)) if sentence]
    return {
        "split": metrics["split"],
        "n": metrics.get("n"),
        "n_subjects": metrics.get("n_subjects"),
        "rows": [(to_markdown(name), shown, _show_interval(interval)) for name, shown, interval in rows],
        "sentences": [to_markdown(sentence) for sentence in said if sentence not in limits],
    }


def _list_verdicts(metrics: dict) -> list[str]:
    """The sentences of a metrics.json; none of an evaluation whose tests took rows as independent."""
    if takes_rows_as_independent(metrics):
        return [
            "What the controls say is left out: an earlier version took the rows of one subject as independent. "
            "Run eval.py again, which judges by subject."
        ]
    sentences = [verdict["sentence"] for verdict in metrics.get("verdicts", {}).values()]
    sentences += [entry["sentence"] for entry in metrics.get("baselines", {}).get("models", {}).values()]
    return sentences + ([metrics["confounds"]["sentence"]] if "confounds" in metrics else [])


def _show_interval(interval: list[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
