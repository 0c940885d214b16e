"""Ask a trained model about one scan, alone or after a reference scan. Prints the answer, and nothing else on stdout.

    python recipes/predict.py --model_name_or_path runs/mine --image scan.nii.gz --question "Male or female?"
    python recipes/predict.py --model_name_or_path runs/mine --image scan.nii.gz --question "Male or female?"
    --reference other.nii.gz --reference_label male

The scan is shown as the model's recipe says. Research software, not a medical device.
"""

import contextlib
import sys

from umbrella.options.arguments import ModelArguments
from umbrella.options.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.tool_arguments import PredictArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, PredictArguments)))

from datasets import disable_progress_bars

from umbrella.answers.prediction import make_question_rows
from umbrella.answers.talking.opening import open_model
from umbrella.options.control_signs import print_exactly


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, predict_args = parse_arguments((ModelArguments, PredictArguments))
    disable_progress_bars()
    rows = make_question_rows(predict_args)

    # ------------------------------------------------------------------------------------------------ answer
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints
        answerer = open_model(model_args, predict_args).answerer
        ((found,),) = answerer.answer(rows, "answering")
    print_exactly(found.text)


if __name__ == "__main__":
    run(main)
