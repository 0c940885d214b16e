"""Ask a trained model about one scan, alone or after a reference scan, or about many scans at once.

    python recipes/predict.py --model_name_or_path runs/mine --image scan.nii.gz --question "Male or female?"
    python recipes/predict.py --model_name_or_path runs/mine --image scan.nii.gz --question "Male or female?"
    --reference other.nii.gz --reference_label male
    python recipes/predict.py --model_name_or_path runs/mine --bids_dir my_bids --output answers.csv
    accelerate launch recipes/predict.py --model_name_or_path runs/mine --table scans.csv --image_column path
    --output answers.csv

About one scan it prints the answer, and nothing else on stdout. About many it writes a table with a row a scan; a run
that was stopped goes on. Scans are shown as the model's recipe says; without --question its own question is asked.
Exit codes: 0 done, 1 an error, 2 a flag that does not exist, 3 the table is written and some rows have no answer.
Research software, not a medical device.
"""

import contextlib
import sys

from umbrella.cohort.many.arguments import ManyArguments
from umbrella.options.arguments import ModelArguments
from umbrella.options.ending import run
from umbrella.options.parsing import parse_arguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, ManyArguments)))

from dataclasses import replace
from functools import partial

from accelerate import PartialState
from datasets import disable_progress_bars

from umbrella.answers.generation import Answerer
from umbrella.answers.own_question import choose_question
from umbrella.answers.prediction import make_question_rows
from umbrella.cohort.many.answering import ManyScans, Outcome, describe_settings
from umbrella.cohort.many.reading import choose_reading
from umbrella.cohort.many.scans import find_asked_scans
from umbrella.models.cached_tower import attach_feature_cache
from umbrella.models.feature_cache import open_feature_cache
from umbrella.models.loading import BUILT, check_fits, load_model, load_processor
from umbrella.options.control_signs import print_exactly
from umbrella.records.recipe import load_recipe, resolve_recipe
from umbrella.records.trained_questions import TrainedQuestions, load_trained_questions
from umbrella.rows.kept_views import CachingTransform, ViewCache
from umbrella.training.main_process import on_main_process
from umbrella.views.settings import ViewSettings

SOME_WITHOUT = 3


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, asked = parse_arguments((ModelArguments, ManyArguments))
    name = model_args.model_name_or_path
    disable_progress_bars()

    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints
        # -------------------------------------------------------------------------------------------- question
        PartialState(cpu=asked.use_cpu)
        trained = load_trained_questions(name)
        question = choose_question(asked.question, trained, asked.reference is not None, name)
        on_main_process(say, *question.told)
        asked = replace(asked, question=question.text)
        if not asked.asks_many:
            rows = make_question_rows(asked)
            ((found,),) = prepare(model_args, asked)[0](batch_size=1).answer(rows, "answering")
        else:
            outcome = answer_many(model_args, asked, trained)

    # ------------------------------------------------------------------------------------------------ answer
    if not asked.asks_many:
        print_exactly(found.text)
        return
    on_main_process(print, outcome.describe())
    if outcome.n_without:
        raise SystemExit(SOME_WITHOUT)


def answer_many(model_args: ModelArguments, asked: ManyArguments, trained: TrainedQuestions | None) -> Outcome:
    """Find the scans, ask about each and write the table."""
    scans = on_main_process(find_asked_scans, asked)
    reading, told = choose_reading(asked, trained, model_args.model_name_or_path)
    on_main_process(say, scans.describe(), *told)
    make_answerer, shown = prepare(model_args, asked)
    settings = describe_settings(asked, model_args.model_name_or_path, shown, reading)
    return ManyScans(asked, scans, reading, settings).answer(make_answerer)


def prepare(model_args: ModelArguments, asked: ManyArguments) -> tuple[partial[Answerer], dict]:
    """What makes an Answerer of the model, and how scans are shown."""
    name = model_args.model_name_or_path
    processor = load_processor(name)
    recipe = resolve_recipe(ViewSettings(expects=asked.expects), processor, name)
    if name in BUILT or load_recipe(name) is None:
        shown = recipe.settings.describe()
        on_main_process(say, f"note: {name} has no umbrella_recipe.json: the scan is shown by default, as {shown}")
    # A reference that does not fit is an error: left out, it would change the answer unseen.
    options = recipe.settings.stated() | {"max_length": asked.max_length, "on_overflow": "raise"}
    features = open_feature_cache(asked.feature_cache)
    transform = partial(CachingTransform, processor, ViewCache(), feature_cache=features, **options)
    model = load_model(name, base_model=model_args.base_model).to(PartialState().device)
    check_fits(model, processor, recipe.image_size, asked.max_length)
    if features is not None:
        attach_feature_cache(model.requires_grad_(False), processor, features, model.device)
    prompts = transform(add_generation_prompt=True)
    answerer = partial(Answerer, model, prompts, transform(), max_new_tokens=asked.max_new_tokens)
    return answerer, recipe.settings.stated()


def say(*sentences: str) -> None:
    """One a line, on what is not the answer's stream."""
    print(*sentences, sep="\n")


if __name__ == "__main__":
    run(main)
