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

from accelerate import PartialState
from datasets import disable_progress_bars

from umbrella.answers.generation import Answerer
from umbrella.answers.prediction import make_question_rows
from umbrella.models.cached_tower import attach_feature_cache
from umbrella.models.feature_cache import open_feature_cache
from umbrella.models.loading import BUILT, check_fits, load_model, load_processor
from umbrella.options.control_signs import print_exactly
from umbrella.records.recipe import load_recipe, resolve_recipe
from umbrella.rows.transform import ConversationTransform
from umbrella.views.settings import ViewSettings


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, predict_args = parse_arguments((ModelArguments, PredictArguments))
    name = model_args.model_name_or_path
    disable_progress_bars()
    rows = make_question_rows(predict_args)

    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints
        # -------------------------------------------------------------------------------------------- model
        processor = load_processor(name)
        recipe = resolve_recipe(ViewSettings(expects=predict_args.expects), processor, name)
        if name in BUILT or load_recipe(name) is None:
            shown = recipe.settings.describe()
            print(f"note: {name} has no umbrella_recipe.json: the scan is shown by default, as {shown}")
        # A reference that does not fit is an error: left out, it would change the answer unseen.
        options = recipe.settings.stated() | {"max_length": predict_args.max_length, "on_overflow": "raise"}
        features = open_feature_cache(predict_args.feature_cache)
        prompts = ConversationTransform(processor, add_generation_prompt=True, feature_cache=features, **options)
        model = load_model(name, base_model=model_args.base_model).to(PartialState(cpu=predict_args.use_cpu).device)
        check_fits(model, processor, recipe.image_size, predict_args.max_length)
        if features is not None:
            attach_feature_cache(model.requires_grad_(False), processor, features, model.device)

        # -------------------------------------------------------------------------------------------- answer
        answerer = Answerer(model, prompts, prompts, batch_size=1, max_new_tokens=predict_args.max_new_tokens)
        ((found,),) = answerer.answer(rows, "answering")
    print_exactly(found.text)


if __name__ == "__main__":
    run(main)
