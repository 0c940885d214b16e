"""The page to talk to a model as a Space of the Hub: a few files that are written here, and the code of this library.

No row and no scan of any data goes into it, and the model stays in its own repository.
"""

import re
import shutil
import sys
import tempfile
from configparser import ConfigParser
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from huggingface_hub import HfApi, SpaceCard, SpaceCardData
from packaging.requirements import Requirement

import umbrella_dataset
from umbrella.files.json_files import parse_json
from umbrella.hub.cards import TEMPLATES
from umbrella.hub.client import open_repo, upload
from umbrella.hub.guard import check_findings
from umbrella.hub.model_text import find_in_lines
from umbrella.hub.repo import HubRepo
from umbrella.models.hub_errors import PushError, explain_errors
from umbrella.models.volumes.dense import DenseTowerConfig
from umbrella.options.extras import describe_missing
from umbrella.options.push_arguments import PushDemoArguments
from umbrella.privacy.search import Finding

DISTRIBUTION = "umbrella-vlm"
LIBRARY = Path(__file__).parents[1]
APP, NEEDED, CARD = "app.py", "requirements.txt", "README.md"
OWN = (APP, NEEDED, CARD)  # written for this Space, and searched; the others are the library's
# What setup.cfg takes along beside modules.
DATA_FILES = (
    "umbrella/cohort/dicom/rules/*",
    "umbrella/cohort/questions/wordings/*.yaml",
    "umbrella/evaluation/checklists/*.yaml",
    "umbrella/evaluation/harness/task_files/*.j2",
    "umbrella/hub/card_templates/*.md",
    "umbrella/privacy/words/*.txt",
    "umbrella/report/templates/*.j2",
    "umbrella/report/demo/page_files/*",
)
VERSIONS = re.compile(r"(?m)(?:==|^(?:sdk|python)_version: ).*$|`[0-9a-f]{40}`")
APP_TEXT = '''"""The page to talk to a model about scans, as a Space. Written by push_to_hub.py demo."""

import sys

sys.argv[1:] = ["--model_name_or_path", {model!r}]

import demo
from umbrella.options.commands.ending import run

run(demo.main)
'''


@dataclass(frozen=True)
class ServedModel:
    """A model in its own repository, as the Hub says: its newest commit, and the extras that it needs."""

    name: str
    revision: str
    is_private: bool
    extras: tuple[str, ...]


def publish_space(options: PushDemoArguments, demo: Path, api: HfApi) -> str:
    """Stage, guard and upload a Space that serves a model of the Hub. Returns the commit's address.

    demo  the recipe that the Space runs

    Raises PushError where the model is not there, or the guard or the Hub stops the push; ImportError where a package
    whose version is to be pinned is missing.
    """
    model_name = str(options.model)
    with explain_errors(model_name):
        model = find_model(model_name, api)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        stage_space(folder, model, demo)
        build_card(model, options, {}).save(folder / CARD)
        allowed = check_findings(find_in_space(folder), options.allow, scrubbed=None)
        repo_id = open_repo(api, str(options.repo_id), "space", options.public)
        card = build_card(model, options, allowed)
        with explain_errors(repo_id):
            card.validate(repo_type="space")
        card.save(folder / CARD)
        repo = HubRepo(api, repo_id, "space")
        return upload(repo, folder, "Publish the page", is_read, is_written, options.delete_other_files)


def find_model(name: str, api: HfApi) -> ServedModel:
    """Raises PushError where there is no model of this name that the token may see."""
    if "/" not in name or Path(name).exists():
        raise PushError(
            f"--model {name}: expected a model's name on the Hub, as user/name, found a folder or another name. "
            "Publish the model first: push_to_hub.py model"
        )
    repo = HubRepo(api, name, "model")
    info = api.model_info(name)
    there = repo.list_files(info.sha)
    if not {"config.json", "adapter_config.json"} & set(there):
        raise PushError(
            f"--model {name}: expected a model, found a repository without config.json. Publish the model first: "
            "push_to_hub.py model"
        )
    config = parse_json(repo.read("config.json", info.sha).decode()) if "config.json" in there else {}
    tower = (config.get("vision_config") or {}).get("model_type")
    extras = ["demo"]
    extras += ["encoders"] if tower == DenseTowerConfig.model_type else []
    extras += ["peft"] if "adapter_config.json" in there else []
    return ServedModel(name, info.sha, bool(info.private), tuple(extras))


def stage_space(folder: Path, model: ServedModel, demo: Path) -> None:
    """Write all of the Space into an empty folder, but its card."""
    (folder / APP).write_text(APP_TEXT.format(model=model.name), encoding="utf-8")
    (folder / NEEDED).write_text("".join(f"{line}\n" for line in pin_packages(model.extras)), encoding="utf-8")
    shutil.copyfile(demo, folder / "demo.py")
    shutil.copyfile(umbrella_dataset.__file__, folder / "umbrella_dataset.py")
    for path in sorted(LIBRARY.rglob("*")):
        name = f"umbrella/{path.relative_to(LIBRARY).as_posix()}"
        if is_of_library(name) and path.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)


def is_of_library(name: str) -> bool:
    """Whether a file is a part of the library, by its name in a Space."""
    return name.startswith("umbrella/") and any(fnmatchcase(name, kind) for kind in ("*.py", *DATA_FILES))


def pin_packages(extras: tuple[str, ...]) -> list[str]:
    """What the library needs, with these extras, as lines of a requirements file, at the versions that are installed.

    Gradio is not among them: the card states its version. Raises ImportError where one is missing.
    """
    pinned = {}
    for extra, line in list_requirements(extras):
        name = Requirement(line).name
        if name != "gradio":
            pinned.setdefault(name, f"{name}=={find_version(name, extra)}")
    return [pinned[name] for name in sorted(pinned, key=str.lower)]


def list_requirements(extras: tuple[str, ...]) -> list[tuple[str, str]]:
    """(extra, requirement) of what the library needs, those without an extra as the first one's: as the checkout says,
    whose installation may be older, else as the installed package does."""
    stated = ConfigParser()
    if stated.read(LIBRARY.parents[1] / "setup.cfg"):
        lines = {extra: stated["options.extras_require"][extra].strip().splitlines() for extra in extras}
        always = stated["options"]["install_requires"].strip().splitlines()
        return [(extras[0], line) for line in always] + [(extra, line) for extra in extras for line in lines[extra]]
    installed = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    return [
        (extra, str(needed))
        for extra in extras
        for needed in installed
        if needed.marker is None or needed.marker.evaluate({"extra": extra})
    ]


def find_version(package: str, extra: str) -> str:
    """The version that is installed, without what tells one build of it from another. Raises ImportError."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        raise ImportError(describe_missing(package, "push_to_hub.py demo", extra)) from None


def build_card(model: ServedModel, options: PushDemoArguments, allowed: dict[str, int]) -> SpaceCard:
    """The card, whose head says how the Space runs."""
    title = options.title or f"Ask {model.name.split('/')[-1]}"
    data = SpaceCardData(
        title=title,
        sdk="gradio",
        sdk_version=find_version("gradio", "demo"),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        app_file=APP,
        license=options.license,
        models=[model.name],
        pinned=False,
    )
    return SpaceCard.from_template(
        data,
        template_path=str(TEMPLATES / "space.md"),
        title=title,
        model=model.name,
        revision=model.revision,
        is_private=model.is_private,
        allowed=sorted(allowed.items()),
    )


def find_in_space(folder: Path) -> list[Finding]:
    """Findings of personal data in what is written for this Space. Versions are no dates, the commit's hash is no
    number of a person."""
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in OWN}
    found = [
        finding for name, text in texts.items() for finding in find_in_lines(name, "text", VERSIONS.sub("", text))
    ]
    return list(dict.fromkeys(found))


def is_read(name: str) -> bool:
    """Whether a Space runs or installs a file of this name."""
    return name in (*OWN, "packages.txt", "pre-requirements.txt") or name.endswith(".py")


def is_written(name: str) -> bool:
    """Whether a push of a Space writes files of this name."""
    return name in (*OWN, "demo.py", "umbrella_dataset.py") or is_of_library(name)
