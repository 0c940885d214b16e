"""Names of weights as a file has them → as a network has them.

A rule is FROM=TO: FROM at the beginning of a name becomes TO; with a star before it, FROM anywhere in a name does.
Rules are taken in their order, each on what the ones before have made:
"module.=,backbone.=encoder.,*mlp.fc1.=mlp.linear1.".
"""

from pathlib import Path

from umbrella.files.yaml_files import read_yaml

Rules = tuple[tuple[str, str], ...]


def parse_key_map(text: str) -> Rules:
    """The rules of a text, or of a YAML file with FROM: TO on its lines. Raises ValueError for what is neither."""
    if text.endswith((".yaml", ".yml")):
        return to_rules(read_yaml(Path(text)), text)
    pairs = [rule.partition("=") for rule in text.split(",") if rule]
    if not pairs or not all(sign and source.strip("*") for source, sign, _ in pairs):
        raise ValueError(f"--key_map: expected FROM=TO,FROM=TO, or a YAML file, found {text!r}")
    return tuple((source, target) for source, _, target in pairs)


def to_rules(found: object, path: str) -> Rules:
    """The rules of a YAML mapping. Raises ValueError, which names the file, for another value."""
    if not isinstance(found, dict) or not all(
        isinstance(target, str) and source.strip("*") for source, target in found.items()
    ):
        raise ValueError(f"{path}: expected a key_map of FROM: TO on each line, found {found!r}")
    return tuple(found.items())


def map_key(key: str, rules: Rules) -> str:
    """A name after all rules."""
    for source, target in rules:
        if source.startswith("*"):
            key = key.replace(source[1:], target)
        elif key.startswith(source):
            key = target + key[len(source) :]
    return key
