"""Why a BIDS tree gives no scan: which condition fits none of its images, or what was left out and what is there."""

from bids_choice import Wanted
from bids_entities import Condition
from bids_inventory import Inventory, join_counts, summarise_inventory
from cohort import Exclusions, NoScansError


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
        return f"expected {suffix} images without {entity}, found it in all: {join_counts(values[entity])}"
    if entity in values:
        there = join_counts(values[entity])
        return f"expected a value of {entity} that {suffix} images have, found no {value!r}; there are {there}"
    there = "; ".join(f"{name}: {join_counts(of_entity)}" for name, of_entity in values.items()) or "none"
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
    examples = {}
    for row in exclusions.rows:
        examples.setdefault(row.reason, row)
    counts = exclusions.count_reasons().most_common(3)
    reasons = "; ".join(
        f"{n} {reason} (as {examples[reason].participant_id or 'a row'}"
        f"{f' session {examples[reason].session}' if examples[reason].session else ''}: {examples[reason].detail})"
        for reason, n in counts
    )
    suffixes = ", ".join(dict.fromkeys(one.suffix for one in wanted.values()))
    return NoScansError(
        f"{root}: expected scans {suffixes}, found none that can be used: {reasons or 'no participant'}. "
        f"The tree holds {summarise_inventory(inventory)}"
    )
