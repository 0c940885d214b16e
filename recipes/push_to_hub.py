"""Publish a data folder, a trained model, or the page to talk to it, on the Hub, after a search for personal data.

    python recipes/push_to_hub.py dataset --json_dir my_data --repo_id me/my_data --scans files --scrub true
    python recipes/push_to_hub.py model --model runs/mine --repo_id me/my_model
    python recipes/push_to_hub.py demo --model me/my_model --repo_id me/my_page

Private unless --public. Any finding of personal data stops the push; --scrub publishes clean copies. A push that was
stopped continues with the same command. Log in with `hf auth login`, or set HF_TOKEN.
"""

from pathlib import Path

from umbrella.options.arguments import DataArguments
from umbrella.options.commands.ending import run
from umbrella.options.push_arguments import (
    PushDatasetArguments,
    PushDemoArguments,
    PushModelArguments,
    parse_push_arguments,
)
from umbrella.options.remote_roots import tell_remote

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_push_arguments(__doc__))

import shutil

from huggingface_hub import HfApi

import umbrella_dataset
from umbrella.files.contained_files import is_remote
from umbrella.files.json_files import write_json
from umbrella.files.written_files import writing
from umbrella.hub.cards import build_dataset_card, find_in_flags
from umbrella.hub.client import open_repo, upload
from umbrella.hub.dataset import Publication, check_scans_exist, parse_size
from umbrella.hub.guard import check_findings
from umbrella.hub.model import publish_model
from umbrella.hub.repo import HubRepo
from umbrella.hub.space import publish_space
from umbrella.models.hub_errors import explain_errors
from umbrella.privacy.presidio_names import build_name_finder
from umbrella.privacy.scrub import Scrubber, load_key
from umbrella.rows.loading import load_splits
from umbrella.rows.published import is_read, is_written


def push_dataset(options: PushDatasetArguments) -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    max_shard_bytes = parse_size(options.max_shard_size)
    work_dir = Path(options.work_dir or f"{options.json_dir.rstrip('/')}.hub")

    # ------------------------------------------------------------------------------------------------ data
    rows = load_splits(DataArguments(json_dir=options.json_dir, image_root=options.image_root, **tell_remote(options)))
    more_names = build_name_finder(options.presidio) if options.presidio else None
    scrubber = Scrubber(load_key(work_dir / "scrub.key"), more_names) if options.scrub else None
    root = options.image_root or options.json_dir
    root = root if is_remote(root) else str(Path(root).expanduser().resolve())
    publication = Publication(rows, root, options.scans, scrubber, more_names)
    check_scans_exist(publication)

    # ------------------------------------------------------------------------------------------------ guard
    findings = [*publication.find_personal_data(), *find_in_flags(options)]
    allowed = check_findings(findings, options.allow, options.scrub)

    # ------------------------------------------------------------------------------------------------ write
    folder = work_dir / "upload"
    with writing(work_dir, "choose another --work_dir"):
        publication.stage(folder, max_shard_bytes, options.nifti_feature)
    if scrubber is not None:
        write_json(work_dir / "scan_names.json", publication.names)
    if options.with_script:
        shutil.copy(umbrella_dataset.__file__, folder)
    api = HfApi()
    repo_id = open_repo(api, options.repo_id, "dataset", options.public, options.gated)
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    card = build_dataset_card(rows, repo_id, options, allowed, n_bytes)
    with explain_errors(repo_id):
        card.validate(repo_type="dataset")
    card.save(folder / "README.md")

    # ------------------------------------------------------------------------------------------------ upload
    repo = HubRepo(api, repo_id, "dataset")
    url = upload(repo, folder, "Publish the dataset", is_read, is_written, options.delete_other_files)
    print(f"published: {url}")


def push_model(options: PushModelArguments) -> None:
    print(f"published: {publish_model(options, HfApi())}")


def push_demo(options: PushDemoArguments) -> None:
    print(f"published: {publish_space(options, Path(__file__).parent / 'demo.py', HfApi())}")


def main() -> None:
    options = parse_push_arguments(__doc__)
    if isinstance(options, PushModelArguments):
        push_model(options)
    elif isinstance(options, PushDemoArguments):
        push_demo(options)
    else:
        push_dataset(options)


if __name__ == "__main__":
    run(main)
