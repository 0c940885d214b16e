"""Flags that choose scans in a BIDS tree → a selection; the NAME=VALUE pairs of any flag."""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from umbrella.answers.text_folding import fold
from umbrella.cohort.bids.entities import Condition, to_short_name
from umbrella.cohort.bids.scans import SUFFIXES, Selection
from umbrella.cohort.shared.study import make_study
from umbrella.cohort.shared.visits import CohortError
from umbrella.files.data_format import MODALITIES
from umbrella.options.list_flags import split_list
from umbrella_dataset import explain_modality


def to_selection(flags: argparse.Namespace) -> Selection:
    """The flags that choose scans, checked. Raises CohortError for a modality that there is not."""
    study = make_study(split_list(flags.modalities_of_visit), flags.sequence_order, flags.least_sequences)
    if study is not None:
        return Selection(
            suffixes={name: name for name in study.sequences},
            sessions=_to_sessions(flags),
            run=flags.run,
            entities=_to_conditions(flags.entities, study.sequences),
            study=study,
        )
    modalities = split_list(flags.modalities) or MODALITIES[:1]
    _refuse_unknown(modalities, f"--modalities: expected {', '.join(MODALITIES)}")
    stated = dict(to_pairs(flags.suffixes, "--suffixes"))
    suffixes = SUFFIXES | stated
    _refuse_unknown(stated, f"--suffixes: expected {', '.join(MODALITIES)} before the =")
    idle = [modality for modality in stated if modality not in modalities]
    if idle:
        raise CohortError(
            f"--suffixes: expected modalities that are asked for ({', '.join(modalities)}), found {', '.join(idle)}. "
            f"Ask for what it is of: --modalities {' '.join([*modalities, *idle])}"
        )
    return Selection(
        suffixes={modality: suffixes[modality] for modality in modalities},
        sessions=_to_sessions(flags),
        run=flags.run,
        entities=_to_conditions(flags.entities, modalities),
    )


def _to_sessions(flags: argparse.Namespace) -> tuple[str, ...]:
    return tuple(session.removeprefix("ses-") for session in split_list(flags.sessions))


def _refuse_unknown(modalities: Iterable[str], expected: str) -> None:
    for modality in modalities:
        if modality not in MODALITIES:
            raise CohortError(f"{expected}, found {modality}{explain_modality(modality)}")


def _to_conditions(texts: list[str], modalities: Sequence[str]) -> tuple[Condition, ...]:
    conditions = []
    for name, value in to_pairs(texts, "--entities", is_empty_allowed=True):
        modality, colon, entity = name.rpartition(":")
        if colon and modality not in modalities:
            known = modality in MODALITIES
            remedy = f". Ask for it: --modalities {' '.join([*modalities, modality])}" if known else ""
            raise CohortError(
                f"--entities: expected before the colon a modality that is asked for ({', '.join(modalities)}), "
                f"found {modality}{remedy}"
            )
        entity = to_short_name(entity)
        # As in names of folders and files: sub-01, ses-1.
        conditions.append(Condition(modality or None, entity, value.removeprefix(f"{entity}-")))
    counts = Counter(condition[:2] for condition in conditions)
    for condition in conditions:
        if counts[condition[:2]] > 1:
            raise CohortError(f"--entities: expected each entity once, found {condition.entity} twice")
    return tuple(conditions)


def to_pairs(texts: list[str], option: str, is_empty_allowed: bool = False) -> list[tuple[str, str]]:
    """The NAME=VALUE of a list; a name or value may hold spaces, as in `1=mild cognitive impairment`."""
    if len(texts) == 1 and "," not in texts[0]:
        texts = re.split(r"(?<!\s)\s++(?=[^\s=]++=)", texts[0].strip())
    pairs = [to_pair(text, option, is_empty_allowed) for text in split_list([*texts, ""])]
    names = Counter(fold(name) for name, _ in pairs)
    for name, _ in pairs:
        if names[fold(name)] > 1:
            raise CohortError(f"{option}: expected each NAME=VALUE once, found {name!r} twice")
    return pairs


def to_pair(text: str, option: str, is_empty_allowed: bool = False) -> tuple[str, str]:
    """NAME=VALUE → (NAME, VALUE); CohortError names the option for any other text."""
    name, equals, value = text.partition("=")
    if not equals or not name or not (value or is_empty_allowed):
        raise CohortError(f"{option}: expected NAME=VALUE, found {text!r}")
    return name, value
