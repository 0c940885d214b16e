"""Why a BIDS tree gives no scan: which condition fits none of its images, or what was left out and what is there."""

from umbrella.cohort.bids.choice import Wanted
from umbrella.cohort.bids.entities import Condition
from umbrella.cohort.bids.inventory import Inventory, join_values, summarise_inventory
from umbrella.cohort.shared.visits import Exclusions, NoScansError
from umbrella.cohort.tables.image_template import IMAGES


def check_conditions(wanted: dict[str, Wanted], inventory: Inventory, root: str) -> None:
    """Raises NoScansError for the first condition that no image of its suffix fits, with the values that there are."""
    for modality, (suffix, conditions, _, _) in wanted.items():
        images = inventory.images.get(suffix, [])
        for condition in conditions if images else ():
            if not any(condition.fits(entities) for entities in images):
                found = _explain(condition, suffix, inventory)
                advice = _advise(condition, modality, wanted, inventory)
                raise NoScansError(f"--entities {condition}: {root}: {found}. {advice}")


def _explain(condition: Condition, suffix: str, inventory: Inventory) -> str:
    entity, value = condition.entity, condition.value
    values = inventory.count_values(suffix)
    if not value:
        return f"expected {suffix} images without {entity}, found it in all: {join_values(entity, values[entity])}"
    if entity in values:
        there = join_values(entity, values[entity])
        return f"expected a value of {entity} that {suffix} images have, found no {value!r}; there are {there}"
    there = "; ".join(f"{name}: {join_values(name, of_entity)}" for name, of_entity in values.items()) or "none"
    n_images = len(inventory.images[suffix])
    return f"expected an entity of {suffix} images, found {entity} in none of {n_images}; they have {there}"


def _advise(condition: Condition, modality: str, wanted: dict[str, Wanted], inventory: Inventory) -> str:
    """Where images of another modality fit, the condition for them alone."""
    others = [
        other
        for other, of_other in wanted.items()
        if any(condition.fits(entities) for entities in inventory.images.get(of_other.suffix, []))
    ]
    if others and condition.modality is None and condition.value:
        own = " ".join(f"{other}:{condition.entity}={condition.value}" for other in others)
        return f"Say it of {' and '.join(others)} alone: {own}"
    return "Choose one of those, or leave the condition out"


def make_refusal(root: str, wanted: dict[str, Wanted], inventory: Inventory, exclusions: Exclusions) -> NoScansError:
    """What was left out, an example of each of the first reasons, and what the tree holds."""
    suffixes = ", ".join(dict.fromkeys(one.suffix for one in wanted.values()))
    reasons = exclusions.summarise() or "no participant"
    return NoScansError(
        f"{root}: expected scans {suffixes}, found none that can be used: {reasons}. "
        f"The tree holds {summarise_inventory(inventory)}{_advise_template(inventory)}"
    )


def _advise_template(inventory: Inventory) -> str:
    """Where there are images under other names than those of BIDS: how they are taken."""
    others = [extension for _, extension in inventory.others if extension.lower().endswith(IMAGES)]
    if not others and not any(image.suffix == "" for image in inventory.faults):
        return ""
    return ". Images of any name, NIfTI and FreeSurfer's, are taken by --participants TABLE --image_template PATH"
