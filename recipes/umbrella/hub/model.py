"""A trained model as it is published: weights as safetensors, processor, recipe, metrics and report; nothing else, but
by choice the code of a model for volumes.

Left out are pickles (training_args.bin, optimizer and scheduler states, .pt and .bin weights), predictions,
checkpoints and logs. Subjects of the training data appear as salted hashes only, which in a public repo nobody but the
publisher can compare; paths of this machine as their last part.
"""

import re
import shutil
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi

from umbrella.files.json_files import read_json, write_json
from umbrella.files.written_files import write_whole, writing
from umbrella.hub.cards import build_model_card
from umbrella.hub.client import open_repo, upload
from umbrella.hub.eval_results import hide_private_datasets
from umbrella.hub.guard import check_findings
from umbrella.hub.model_code import CODE_FILES, add_code
from umbrella.hub.model_text import find_in_lines, read_model_text
from umbrella.hub.repo import HubRepo
from umbrella.models.chat_templates import MORE_TEMPLATES
from umbrella.models.folder_check import check_model_folder
from umbrella.models.hub_errors import PushError, explain_errors
from umbrella.options.push_arguments import PushModelArguments
from umbrella.privacy.scrub import load_key
from umbrella.privacy.search import Finding, find_in_text, to_findings
from umbrella.records.evaluations import (
    FAILURES_PAGE,
    METRICS,
    PUBLIC_REPORT,
    REPORT,
    find_evaluations,
    read_metrics,
    read_published_metrics,
)
from umbrella.records.recipe import load_recipe
from umbrella.records.recipe_file import FILE_NAME as RECIPE_FILE
from umbrella.records.run import read_run_record
from umbrella.records.small_groups import shows_no_small_groups
from umbrella.records.trained_questions import FILE_NAME as QUESTIONS_FILE
from umbrella.records.training_data import FILE_NAME as TRAINING_DATA
from umbrella.records.training_data import describe_copy

# What a model and its processor consist of; all else stays here.
MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "base_model.json",
    "processor_config.json",
    "preprocessor_config.json",
    "image_processor_config.json",
    "video_preprocessor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
# What transformers reads too where it is there.
ALSO_READ = (
    MORE_TEMPLATES,
    "audio_tokenizer_config.json",
    "custom_generate/*",
    "tokenizer.*.json",
    "*.model",  # words of a tokenizer: spiece.model, sentencepiece.bpe.model, tekken.model
    "tekken.json",
)
RESULT_FILES = ("run.json", "all_results.json", "train_results.json", "eval_results.json")


def publish_model(
    options: PushModelArguments, api: HfApi, message: str = "Publish the model", run_folder: Path | None = None
) -> str:
    """Stage, guard and upload a model's folder. Returns the commit's address. Raises PushError.

    `run_folder`: the run that a checkpoint belongs to, whose records and recipe go with it.
    """
    work_dir = Path(options.work_dir or f"{options.model.rstrip('/')}.hub")
    folder = work_dir / "upload"
    key = load_key(work_dir / "scrub.key")
    checkable = not options.public if options.checkable_subjects is None else options.checkable_subjects
    run_folder = run_folder or Path(options.model)
    with writing(work_dir, "choose another --work_dir"):
        stage_model(Path(options.model), folder, key, options.report_scans, run_folder, checkable)
        if options.with_code:
            add_code(folder)
    allowed = check_findings(find_in_model(folder), options.allow, scrubbed=None)
    repo_id = open_repo(api, options.repo_id, "model", options.public, options.gated)
    with explain_errors(repo_id):
        hide_private_datasets(folder, api)
    card = build_model_card(folder, repo_id, options, allowed)
    with explain_errors(repo_id):
        card.validate(repo_type="model")
    card.save(folder / "README.md")
    repo = HubRepo(api, repo_id, "model")
    return upload(repo, folder, message, is_read, is_written, options.delete_other_files)


def is_read(name: str) -> bool:
    """Whether a file of a repo is read as a part of its model."""
    return _is_one_of(name, (*MODEL_FILES, *ALSO_READ, RECIPE_FILE, QUESTIONS_FILE, CODE_FILES))


def is_written(name: str) -> bool:
    """Whether a push of a model writes files of this name."""
    results = (*RESULT_FILES, f"eval*/{METRICS}", f"eval*/{REPORT}")
    records = (RECIPE_FILE, QUESTIONS_FILE, TRAINING_DATA)
    return _is_one_of(name, (*MODEL_FILES, *records, "README.md", CODE_FILES, *results))


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name.count("/") == pattern.count("/") and fnmatchcase(name, pattern) for pattern in patterns)


def stage_model(model: Path, folder: Path, key: bytes, report_scans: bool, run_folder: Path, checkable: bool) -> None:
    """Write what is published of `model`, and of the run that made it, into `folder`, anew, without the card.

    Raises PushError where there is no model, or one without safetensors.
    """
    if not (model / "config.json").is_file() and not (model / "adapter_config.json").is_file():
        raise PushError(f"{model}: expected a model's folder with a config.json, found none. Give what train.py wrote")
    if not list(model.glob("*.safetensors")):
        raise PushError(
            f"{model}: expected weights as *.safetensors, found none. Save them with save_pretrained: weights in "
            "pickles can run code where they are loaded, and are not published"
        )
    check_model_folder(model)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for pattern in (*MODEL_FILES, MORE_TEMPLATES):
        for path in model.glob(pattern):
            target = folder / path.relative_to(model)
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(path.resolve())
    for record in filter(Path.is_file, [run_folder / name for name in (RECIPE_FILE, QUESTIONS_FILE)]):
        (folder / record.name).symlink_to(record.resolve())
    for path in filter(Path.is_file, [run_folder / name for name in RESULT_FILES]):
        _write_cleaned(folder / path.name, read_json(path))
    for evaluation in find_evaluations(model, run_folder):
        (folder / evaluation.name).mkdir()
        _write_cleaned(folder / evaluation.name / METRICS, read_published_metrics(evaluation))
        report = find_report(evaluation, report_scans)
        if report is not None:
            text = shorten_in_page(report.read_text(encoding="utf-8"))
            text = text.replace(f' href="{FAILURES_PAGE}"', "")  # stays here, whichever report is published
            write_whole(folder / evaluation.name / REPORT, text)
    _write_training_data(model, folder, key, checkable)
    load_recipe(str(folder))  # each of these is read once, so that no half file is published
    read_run_record(folder)


def _write_cleaned(path: Path, value: Any) -> None:
    write_json(path, _shorten_values(value), indent=2)


def find_report(evaluation: Path, report_scans: bool) -> Path | None:
    """The page to publish: with `report_scans` the one that shows single rows, else the one that does not.

    None where there is none; says so where only the other one is there.
    """
    report, public = evaluation / REPORT, evaluation / PUBLIC_REPORT
    if report_scans or not report.is_file():
        return report if report.is_file() else None
    if public.is_file() and shows_no_small_groups(public.read_text(encoding="utf-8"), read_metrics(evaluation)):
        return public
    if public.is_file():
        print(
            f"{public} is left out: it shows groups of few subjects, which earlier versions did not withhold. Run "
            "recipes/eval.py again as before (it keeps the answers)"
        )
        return None
    print(
        f"{report} is left out: it shows single rows, and {PUBLIC_REPORT}, which does not, is not beside it; earlier "
        "versions wrote none. Run recipes/eval.py again as before (it keeps the answers), or publish the page as it "
        "is with --report_scans true"
    )
    return None


def shorten_in_page(html: str) -> str:
    """A page with the absolute paths of its text cut to their last part."""
    # Within data addresses there is nothing to shorten, and much to search.
    pieces = re.split(r"(data:[\w/+.-]{0,80};base64,[^\"]*+)", html)
    return "".join(piece if i % 2 else shorten_paths(piece) for i, piece in enumerate(pieces))


def shorten_paths(text: str) -> str:
    """Absolute paths cut to their last part: "/home/me/runs/q" → "q"."""
    pieces, position = [], 0
    for match in find_in_text(text):
        if match.kind == "host path":
            path = text[match.start : match.end].rstrip("/\\").replace("\\", "/")
            pieces += [text[position : match.start], PurePosixPath(path).name]
            position = match.end
    return "".join([*pieces, text[position:]])


def _shorten_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shorten_values(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shorten_values(inner) for inner in value]
    return shorten_paths(value) if isinstance(value, str) else value


def _write_training_data(model: Path, folder: Path, key: bytes, checkable: bool) -> None:
    """What the model has seen. Where it is not to be `checkable`, its hashes are sealed with a key that stays with the
    publisher: else who guesses an id can check it."""
    seen = describe_copy(str(model))
    seen = seen if checkable else seen.hide(key)
    models = tuple(map(_shorten_values, seen.models))
    replace(seen, models=models).save(folder)


def find_in_model(folder: Path) -> list[Finding]:
    """Findings in all text that a staged model has, see `umbrella.hub.model_text`; in the code of this library, which
    was put there just before, there is nothing of anybody's."""
    findings = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if _is_one_of(name, (CODE_FILES,)):
            continue
        findings += to_findings(name, "file name", name)
        for field, text in read_model_text(path):
            findings += find_in_lines(name, field, text)
    return list(dict.fromkeys(findings))
