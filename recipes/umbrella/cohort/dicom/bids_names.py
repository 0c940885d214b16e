"""The place of every series in a BIDS tree: sub-…/ses-1/anat/sub-…_ses-1_ce-gadolinium_run-2_T1w."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from umbrella.cohort.dicom.identity import name_visit
from umbrella.cohort.dicom.instances import Series

# The order of BIDS, https://bids-specification.readthedocs.io/en/stable/appendices/entities.html
ENTITIES = "task acq ce trc stain rec dir run mod echo flip inv mt part".split()


class Named(NamedTuple):
    """A series that a rule names. `entities`: short name → value, as ("ce", "gadolinium")."""

    series: Series
    subject: str  # with "sub-"
    session: int  # as `number_visits` gives it
    datatype: str
    suffix: str
    entities: dict[str, str]


def find_targets(named: Iterable[Named]) -> list[str]:
    """The path of each, without what ends its files' names. Where several have the same name they are run-1, run-2 …
    in the order of their series numbers; echoes of one series are echo-1, echo-2 … in the order of their times."""
    named = list(named)
    echoes = _number_echoes(named)
    entities = [{**one.entities, **echoes.get(i, {})} for i, one in enumerate(named)]
    of_path = defaultdict(list)
    for i, one in enumerate(named):
        of_path[_to_path(one, entities[i])].append(i)
    paths = [""] * len(named)
    for path, some in of_path.items():
        for run, i in enumerate(sorted(some, key=lambda i: _to_order(named[i].series)), 1):
            paths[i] = path if len(some) == 1 else _to_path(named[i], {**entities[i], "run": str(run)})
    return paths


def _number_echoes(named: list[Named]) -> dict[int, dict[str, str]]:
    of_uid = defaultdict(set)
    for one in named:
        of_uid[one.series.first.series_uid].add(one.series.first.echo)
    numbers = {}
    for i, one in enumerate(named):
        echoes = of_uid[one.series.first.series_uid]
        if len(echoes) > 1:
            ordered = sorted(echoes, key=lambda echo: (_to_number(echo), echo))
            numbers[i] = {"echo": str(ordered.index(one.series.first.echo) + 1)}
    return numbers


def _to_path(one: Named, entities: dict[str, str]) -> str:
    session = f"ses-{name_visit(one.session)}"
    place = f"{one.subject}/{session}/{one.datatype}"
    parts = [f"{name}-{entities[name]}" for name in ENTITIES if name in entities]
    return f"{place}/{'_'.join([one.subject, session, *parts, one.suffix])}"


def _to_order(series: Series) -> tuple[float, str]:
    return _to_number(series.first.number), series.first.series_uid


def _to_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
