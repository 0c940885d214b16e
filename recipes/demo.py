"""Talk to a trained model about scans, on a page of this machine: the scan, the conversation, what the model saw.

    python recipes/demo.py --model_name_or_path runs/mine --json_dir my_data
    python recipes/demo.py --model_name_or_path runs/mine --compare runs/other

The page is for 127.0.0.1 alone and loads nothing from elsewhere. Research software, not a medical device.
"""

import os

from umbrella.options.arguments import DataArguments, ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.extras import check_extra
from umbrella.options.parsing import parse_arguments
from umbrella.options.remote_roots import tell_remote
from umbrella.report.demo.arguments import DemoArguments
from umbrella.report.demo.own_folders import make_own_folder

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, DemoArguments)))
    run(lambda: check_extra("gradio", "demo.py", "demo"))
    # Read when Gradio is imported; its own would be one for all who use this machine, which the first of them owns.
    os.environ.setdefault("GRADIO_TEMP_DIR", str(make_own_folder("page")))

from datasets import disable_progress_bars

from umbrella.answers.talking.opening import open_model
from umbrella.answers.talking.talker import Talker
from umbrella.options.commands.free_port import check_port
from umbrella.options.serve_arguments import HOST
from umbrella.records.trained_questions import load_trained_questions
from umbrella.report.demo.handlers import Handlers, Talk
from umbrella.report.demo.known_labels import find_labels
from umbrella.report.demo.page import Page
from umbrella.report.demo.serving import serve, use_own_folder
from umbrella.rows.loading import load_splits, pick_split


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, asked = parse_arguments((ModelArguments, DemoArguments))
    if asked.port is not None:
        check_port(HOST, asked.port)

    # ------------------------------------------------------------------------------------------------ data
    splits = rows = None
    if asked.json_dir is not None:
        splits = load_splits(DataArguments(json_dir=asked.json_dir, image_root=asked.image_root, **tell_remote(asked)))
        rows = pick_split(splits, asked.split)
    disable_progress_bars()

    # ------------------------------------------------------------------------------------------------ models
    talks = []
    named = [model_args] if asked.compare is None else [model_args, ModelArguments(asked.compare)]
    for one in named:
        labels = find_labels(one.model_name_or_path, splits, asked.split)
        opened = open_model(one, asked, labels.candidates)
        talks.append(Talk(Talker(opened), labels, load_trained_questions(one.model_name_or_path)))

    # ------------------------------------------------------------------------------------------------ page
    use_own_folder()
    serve(Page(Handlers(talks, rows), asked.max_upload_mb).build(), asked)


if __name__ == "__main__":
    run(main)
