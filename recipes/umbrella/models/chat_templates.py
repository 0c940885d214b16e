"""The files beside a model that its chat template comes from."""

import hashlib
from pathlib import Path

from umbrella.files.json_files import read_json
from umbrella.models.files import find_model_folder

TEMPLATE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates/*.jinja"
# Files that may hold one under the key "chat_template".
OBJECTS = ("chat_template.json", "processor_config.json", "tokenizer_config.json")


def hash_template(template: str | dict[str, str]) -> str:
    """sha256 of a processor's chat template: of several by name where there is more than one file, whatever the order
    in which these were found."""
    if isinstance(template, dict):
        template = {name: template[name] for name in sorted(template, key=lambda name: (name == "default", name))}
    return hashlib.sha256(str(template).encode()).hexdigest()


def find_template_files(folder: Path) -> list[str]:
    """The names of all files in a model's folder that transformers takes chat templates from."""
    plain = [path.relative_to(folder).as_posix() for path in sorted(folder.glob(MORE_TEMPLATES))]
    plain = [TEMPLATE, *plain] if (folder / TEMPLATE).is_file() else plain
    return plain + [
        name
        for name in OBJECTS
        if (folder / name).is_file() and read_json(folder / name, dict).get("chat_template") is not None
    ]


def explain_template(model_name_or_path: str, trained: str) -> str:
    """The end of a sentence on a chat template that is not the `trained` one (its hash): the files that it comes from
    and what to do about them."""
    folder = find_model_folder(model_name_or_path)
    names = find_template_files(folder) if folder else []
    if folder is None or not names:
        return ". Use the processor that was saved with the model."
    found = f", which comes from {' and '.join(names)} there. "
    others = names[1:]
    if others and names[0] == TEMPLATE and hash_template((folder / TEMPLATE).read_text("utf-8")) == trained:
        return f"{found}{TEMPLATE} is as in training: take {' and '.join(others)} out."
    is_one = len(names) == 1
    return (
        f"{found}Put {'it' if is_one else 'them'} back as {'it was' if is_one else 'they were'} saved with the model, "
        "from another checkpoint of the run, or use the processor that was saved with it."
    )
