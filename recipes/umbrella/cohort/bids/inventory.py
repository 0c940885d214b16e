"""What a BIDS tree holds: participants' folders, sessions, images by suffix with their entities, other files."""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from umbrella.cohort.bids.entities import normalise
from umbrella.cohort.bids.names import DATATYPES, EXTENSIONS, Image, list_images
from umbrella.cohort.shared.scan_places import is_folder
from umbrella.cohort.shared.visits import to_text

_SIDECARS = (".json", ".tsv", ".tsv.gz", ".bval", ".bvec", ".txt")
_MOST_VALUES = 8


@dataclass
class Inventory:
    """Counts of one tree.

    images   suffix → what the names of its images say, one dict an image
    folders  suffix → the datatype folders that its images are in
    others   (datatype folder, extension) → how many files that are no images
    faults   (what is wrong with a name, the first path) of images that are not counted above
    """

    n_subjects: int = 0
    sessions: Counter[str] = field(default_factory=Counter)
    images: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    folders: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[Image] = field(default_factory=list)

    def count_values(self, suffix: str) -> dict[str, Counter[str]]:
        """Entity → value → how many images of a suffix; "" counts those without it. Not of `sub`."""
        images = self.images.get(suffix, [])
        names = sorted({name for entities in images for name in entities} - {"sub"})
        return {name: Counter(normalise(name, image.get(name, "")) for image in images) for name in names}

    def list_suffixes(self) -> list[str]:
        return sorted(self.images, key=lambda suffix: (-len(self.images[suffix]), suffix))


def take_inventory(subject_folders: list[str]) -> Inventory:
    """Of all folders of participants; nothing is opened."""
    inventory = Inventory(n_subjects=len(subject_folders))
    for subject in subject_folders:
        sessions = [name for name in _list_folders(subject) if name.startswith("ses-")]
        inventory.sessions.update(to_text(name[4:]) for name in sessions)
        for folder in (subject, *(os.path.join(subject, name) for name in sessions)):
            for datatype in _list_folders(folder):
                if not datatype.startswith("ses-"):
                    _count(inventory, folder, datatype)
    return inventory


def _list_folders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_folder(entry))


def _count(inventory: Inventory, folder: str, datatype: str) -> None:
    for image in list_images(folder, (datatype,)):
        if image.fault:
            inventory.faults.append(image)
        else:
            inventory.images[image.suffix].append(image.entities)
            inventory.folders[image.suffix].add(datatype)
    with os.scandir(os.path.join(folder, datatype)) as entries:
        names = sorted(to_text(entry.name) for entry in entries if not entry.name.startswith("."))
    for name in names:
        _, dot, rest = name.partition(".")
        if dot and not name.endswith((*_SIDECARS, *EXTENSIONS)):
            inventory.others[datatype, dot + rest] += 1


def describe_inventory(inventory: Inventory) -> list[str]:
    """Lines to look at: every suffix, and every entity with its values."""
    lines = [f"participants' folders: {inventory.n_subjects}"]
    if inventory.sessions:
        lines.append(f"sessions (folders): {join_counts(inventory.sessions)}")
    for suffix in inventory.list_suffixes():
        lines.append(f"{suffix}: {len(inventory.images[suffix])} images in {_name_folders(inventory, suffix)}")
        counted = inventory.count_values(suffix)
        lines += [f"    {name}: {join_values(name, counted[name])}" for name in counted if name != "ses"]
    if not inventory.images:
        lines.append("no image (.nii.gz, .nii) with a BIDS name")
    others = sorted(inventory.others.items())
    lines += [f"{n} other files {extension} in {datatype}" for (datatype, extension), n in others]
    if inventory.faults:
        first = inventory.faults[0]
        lines.append(f"{len(inventory.faults)} images that are not taken, the first {first.path}: {first.fault}")
    return lines


def summarise_inventory(inventory: Inventory) -> str:
    """The same as the end of a sentence: "48 bold (task: faces 24, rest 24), 16 T1w"."""
    parts = []
    for suffix in inventory.list_suffixes():
        counted = inventory.count_values(suffix)
        entities = "; ".join(f"{name}: {join_values(name, counted[name])}" for name in counted if name != "ses")
        where = (
            "" if inventory.folders[suffix] & {*DATATYPES} else f" in {', '.join(sorted(inventory.folders[suffix]))}"
        )
        parts.append(f"{len(inventory.images[suffix])} {suffix}{where}{f' ({entities})' if entities else ''}")
    if not parts:
        parts = ["no image with a BIDS name"]
    parts += [f"{n} {extension} in {datatype}" for (datatype, extension), n in inventory.others.most_common(4)]
    if inventory.faults:
        parts.append(
            f"{len(inventory.faults)} images not taken, as {inventory.faults[0].path} ({inventory.faults[0].fault})"
        )
    return ", ".join(parts)


def _name_folders(inventory: Inventory, suffix: str) -> str:
    folders = sorted(inventory.folders[suffix])
    unsearched = "" if inventory.folders[suffix] & {*DATATYPES} else f" (scans are taken from {', '.join(DATATYPES)})"
    return ", ".join(folders) + unsearched


def join_values(entity: str, counts: Counter[str]) -> str:
    """The values of an entity, and how to choose the images without it: "MNI 24, without it 24 (space=)"."""
    without = [f"without it {counts['']} ({entity}=)"] if counts[""] else []
    valued = Counter({value: n for value, n in counts.items() if value})
    return ", ".join([join_counts(valued)] * bool(valued) + without)


def join_counts(counts: Counter[str]) -> str:
    """The commonest values with their counts, and how many there are in all."""
    shown = ", ".join(f"{value} {n}" for value, n in counts.most_common(_MOST_VALUES))
    return shown + (f", ... ({len(counts)} in all)" if len(counts) > _MOST_VALUES else "")
