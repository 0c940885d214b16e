"""Ask a trained model about one scan, alone or after a reference scan, or about many scans at once.

    python recipes/predict.py --model_name_or_path runs/mine --image scan.nii.gz --question "Male or female?"
    python recipes/predict.py --model_name_or_path runs/mine --image scan.nii.gz --question "Male or female?"
    --reference other.nii.gz --reference_label male
    python recipes/predict.py --model_name_or_path runs/study --image T1w=t1.nii.gz FLAIR=flair.nii.gz
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
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, ManyArguments)))

from dataclasses import replace

from accelerate import PartialState
from datasets import disable_progress_bars

from umbrella.answers.own_question import choose_question
from umbrella.answers.prediction import make_question_rows
from umbrella.answers.talking.opening import open_model, prepare_answerer
from umbrella.cohort.many.answering import ManyScans, Outcome, describe_settings
from umbrella.cohort.many.reading import choose_reading
from umbrella.cohort.many.scans import find_asked_scans
from umbrella.options.commands.control_signs import print_exactly
from umbrella.records.trained_questions import TrainedQuestions, load_trained_questions
from umbrella.rows.remote_scans import allow_remote, know_files
from umbrella.training.main_process import on_main_process

SOME_WITHOUT = 3


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, asked = parse_arguments((ModelArguments, ManyArguments))
    name = model_args.model_name_or_path
    disable_progress_bars()

    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints
        # -------------------------------------------------------------------------------------------- question
        PartialState(cpu=asked.use_cpu)
        allow_remote(asked)
        know_files(path for path in (asked.image, asked.reference) if path is not None)
        trained = load_trained_questions(name)
        sequences, told = asked.choose_sequences(trained.sequences if trained else ())
        has_reference = asked.reference is not None
        question = choose_question(asked.question, trained, has_reference, name, bool(sequences))
        on_main_process(say, *question.told, *told)
        asked = replace(asked, question=question.text)
        if not asked.asks_many:
            rows = make_question_rows(asked, None, sequences)
            ((found,),) = open_model(model_args, asked).answerer.answer(rows, "answering")
        else:
            outcome = answer_many(model_args, replace(asked, modalities_of_visit=sequences or None), trained)

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
    make_answerer, shown = prepare_answerer(model_args, asked)
    settings = describe_settings(asked, model_args.model_name_or_path, shown.stated(), reading)
    return ManyScans(asked, scans, reading, settings).answer(make_answerer)


def say(*sentences: str) -> None:
    """One a line, on what is not the answer's stream."""
    print(*sentences, sep="\n")


if __name__ == "__main__":
    run(main)
