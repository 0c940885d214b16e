"""Do the answers stay when the scans are recorded otherwise? Nine kinds of change, in three strengths each."""

from itertools import product

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from torch.utils.data import DataLoader

from umbrella.evaluation.asking import Asker
from umbrella.evaluation.controls import Control
from umbrella.evaluation.evidence.drawn_rows import DrawnRows, draw_rows
from umbrella.evaluation.evidence.robustness_verdicts import FLIP, STAY, judge_equal, judge_kind, sum_up
from umbrella.evaluation.questions import Regression
from umbrella.evaluation.results import score_records, subjects_of_rows
from umbrella.evaluation.statistics.intervals import mean_interval
from umbrella.options.arguments import EvalArguments
from umbrella.options.commands.progress import show_progress
from umbrella.rows.kept_views import CachingTransform
from umbrella.rows.perturbed_scans import PerturbedScans
from umbrella.views.perturbation import INTENSITY, KINDS, SLICES, STORAGE, list_kinds

NAME = "robustness"
Case = tuple[str, int]  # a kind and its strength


def gather_robustness(asker: Asker, asked: EvalArguments, rows: Dataset, records: list[dict]) -> dict | None:
    """The entry of --robustness: for each kind and strength the numbers of a control (see
    `umbrella.evaluation.control_scores`), and for each kind a sentence."""
    if not asked.robustness:
        return None
    with_scans = [i for i, modalities in enumerate(rows.with_format(None)["modalities"]) if modalities]
    if not with_scans:
        unknown = ["Robustness cannot be told: no row has a scan that could be changed."]
        return {"sentences": unknown, "limits": unknown, "kinds": {}}
    subjects = subjects_of_rows(rows)
    drawn = draw_rows([subjects[i] for i in with_scans], asked.robustness_n, asked.seed)
    indices = [with_scans[i] for i in drawn.indices]
    shown, before = rows.with_format(None).select(indices), [records[i] for i in indices]
    cases = list(product(list_kinds(asker.prompts.settings.view), range(3)))
    answered, differences = _answer(asker, asked, shown, before, cases)
    every = list(range(len(shown)))
    controls = {_name(case): (Control(_name(case), _title(case), shown, every), got) for case, got in answered.items()}
    of_rows = [subjects[i] for i in indices]
    found = asker.question.compare(before, controls, of_rows)["controls"]
    if isinstance(asker.question, Regression):
        for case, got in answered.items():
            found[_name(case)] |= _measure_moves(asker.question, before, got, of_rows)
    entry = _describe(found, cases, differences, drawn, before)
    return entry | {"sentences": [*entry["sentences"], *_say_left_out(cases, len(rows) - len(with_scans))]}


def _say_left_out(cases: list[Case], n_without: int) -> list[str]:
    """What was not asked, and why."""
    kinds, said = {kind for kind, _ in cases}, []
    if SLICES not in kinds:
        said.append("Other slices: not asked, since a whole volume is shown, which has no others.")
    if n_without:
        said.append(f"Left out of robustness: {n_without} row{'s' * (n_without > 1)} without a scan.")
    return said


def _answer(
    asker: Asker, asked: EvalArguments, rows: Dataset, records: list[dict], cases: list[Case]
) -> tuple[dict[Case, list[dict]], dict[Case, float]]:
    """Case → a record for each row; and case → how much, at most, it changes a value of a view, of those that should
    change nothing.

    The variants of one row are asked together, so that its scans are decoded once. Where all views stay as they are,
    to the bit, the model is not asked again: it would see the same numbers.
    """
    scans = PerturbedScans(asker.prompts.settings, asked.seed)
    perturbed = asker.make_transform(variants_of=rows, perturb=scans.load)
    compared = [case for case in cases if case[0] in (STORAGE, INTENSITY)]
    differences = _compare_views(_Differences(asker.prompts, perturbed, rows, compared), asked.num_workers)
    to_ask = [case for case in cases if differences.get(case) != 0]
    task_ids = list(rows["task_id"])
    variants = [(row, *case) for row, case in product(range(len(rows)), to_ask)]
    columns = dict(zip(("row", "perturbation", "strength"), map(list, zip(*variants, strict=True)), strict=True))
    named = [f"{task_ids[row]} · {_name((kind, strength))}" for row, kind, strength in variants]
    answers = asker.ask_variants(Dataset.from_dict({**columns, "task_id": named}), rows, NAME, perturb=scans.load)
    got = {case: answers[i :: len(to_ask)] for i, case in enumerate(to_ask)}
    return {case: got.get(case, records) for case in cases}, differences


def _compare_views(differences: "_Differences", num_workers: int) -> dict[Case, float]:
    """Case → the largest difference of a value of a view between the scans as they are and perturbed."""
    loader = DataLoader(differences, batch_size=None, num_workers=num_workers, collate_fn=list)
    silent = not PartialState().is_main_process
    found = list(show_progress(loader, desc="storage order", unit="row", disable=silent))
    return dict(zip(differences.cases, np.max(found, axis=0).tolist(), strict=True))


class _Differences(torch.utils.data.Dataset):
    """Row → for each case the largest difference of a value of its views."""

    def __init__(self, shown: CachingTransform, perturbed: CachingTransform, rows: Dataset, cases: list[Case]) -> None:
        self.shown, self.perturbed, self.rows, self.cases = shown, perturbed, rows, cases

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> list[float]:
        row = self.rows[index]
        largest = [0.0] * len(self.cases)
        for number in range(len(row["images"])):
            view = self.shown.load_images(row, number)
            for place, (kind, strength) in enumerate(self.cases):
                other = self.perturbed.load_images({**row, "perturbation": kind, "strength": strength}, number)
                largest[place] = max(largest[place], float(np.abs(other - view).max()))
        return largest


def _measure_moves(question: Regression, records: list[dict], got: list[dict], subjects: list[str]) -> dict:
    """By how much the numbers change, of the rows in which one was read both times; None where there are none."""
    pairs = [
        (record["parsed_number"], question.reading.read(other["prediction"]), subject)
        for record, other, subject in zip(records, got, subjects, strict=True)
    ]
    read = [(abs(before - after), who) for before, after, who in pairs if before is not None and after is not None]
    if not read:
        return {"moved": None, "moved_interval": None}
    moves, who = zip(*read, strict=True)
    return {"moved": float(np.mean(moves)), "moved_interval": mean_interval(moves, who)}


def _describe(
    found: dict[str, dict], cases: list[Case], differences: dict[Case, float], drawn: DrawnRows, records: list[dict]
) -> dict:
    measure = score_records(records)[0] if "parsed_label" in records[0] or "parsed_number" in records[0] else None
    kinds: dict[str, dict] = {}
    for kind in dict.fromkeys(kind for kind, _ in cases):
        strengths = [
            {"strength": name, "most_difference": differences.get((kind, place))} | found[_name((kind, place))]
            for place, name in enumerate(KINDS[kind].names)
        ]
        if kind == STORAGE or not any(one["most_difference"] != 0 for one in strengths):
            judged = judge_equal(KINDS[kind].title, strengths)
        else:
            judged = judge_kind(KINDS[kind].title, strengths, measure)
        kinds[kind] = {"title": KINDS[kind].title, **judged, "strengths": strengths}
    sentences = [sum_up(kinds, drawn.describe()), *(kind["sentence"] for kind in kinds.values())]
    limits = [kind["sentence"] for kind in kinds.values() if kind["verdict"] == FLIP]
    if any(kind["verdict"] != STAY for kind in kinds.values()):  # what was not shown is not known
        limits.insert(0, sentences[0])
    rows = {"n": len(drawn.indices), "n_subjects": drawn.n_subjects}
    return {"sentences": sentences, "limits": limits, **rows, "kinds": kinds}


def _name(case: Case) -> str:
    kind, strength = case
    return f"{kind} {KINDS[kind].names[strength]}"


def _title(case: Case) -> str:
    kind, strength = case
    return f"{KINDS[kind].title} {KINDS[kind].names[strength]}"
