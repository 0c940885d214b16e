"""How large a test set must be: in sentences, with all that they rest on."""

import argparse
import math
from dataclasses import dataclass, replace

from umbrella.evaluation.statistics.intervals import MOST_SUBJECTS, POWER
from umbrella.evaluation.statistics.measures import ACCURACY, Measure
from umbrella.evaluation.statistics.notation import number, percent
from umbrella.evaluation.statistics.precision import (
    SD_OF_ERRORS,
    Design,
    PairedDesign,
    detectable_above,
    subjects_for_width,
)
from umbrella.options.plan_flags import ICC

FEWEST = 2  # subjects that have a spread
WITH_POWER = f"{100 * POWER:.0f} % power"


@dataclass(frozen=True)
class Expected:
    """The score that is expected of single rows; `sd`: their spread."""

    measure: Measure
    value: float
    sd: float

    def interval(self, design: Design, n_subjects: int) -> tuple[float, float]:
        """The 95 % interval that so many subjects can be expected to give."""
        if self.measure.better > 0:
            return design.share_interval(self.value, n_subjects)
        return design.mean_interval(self.value, self.sd, n_subjects)


def plan_test_set(asked: argparse.Namespace) -> list[str]:
    """The lines that plan_test_set.py prints. `asked`: its flags.

    Raises ValueError where the wished interval takes more subjects than can be named, or any give a narrower one.
    """
    if asked.accuracy is not None:
        value = asked.accuracy
        expected = Expected(ACCURACY, value, math.sqrt(value * (1 - value)))
    else:
        sd = asked.error_sd if asked.error_sd is not None else SD_OF_ERRORS * asked.mae
        expected = Expected(Measure("mae", "mean absolute error", -1, 0.0, 0.0), asked.mae, sd)
    design = Design(asked.rows_per_subject, ICC if asked.icc is None else asked.icc)
    n_subjects = asked.subjects if asked.width is None else _count(expected, design, asked.width)
    lines = [_say_interval(expected, design, n_subjects, asked.width), _say_icc(asked, expected, design)]
    if asked.mae is not None and asked.error_sd is None:
        spread = number(expected.sd)
        lines.append(f"Absolute errors are taken to spread by {spread} (SD, --error_sd), as normal errors about 0 do.")
    return [*lines, *_say_differences(asked, expected, design, n_subjects)]


def _count(expected: Expected, design: Design, width: float) -> int:
    low, high = expected.interval(design, FEWEST)
    if high - low < width:
        size = expected.measure.show_size(high - low)
        raise ValueError(
            f"--width {width:g}: expected a narrower one, since already {FEWEST} subjects, the fewest that give an "
            f"interval, give one of {size}. Wish for less, or ask how sure so many are: --subjects {FEWEST}"
        )
    found = _find_count(expected, design, width)
    if found is None:
        raise ValueError(f"--width {width:g}: expected one that {MOST_SUBJECTS:,} subjects give, found more needed")
    return found


def _find_count(expected: Expected, design: Design, width: float) -> int | None:
    found = subjects_for_width(lambda n: expected.interval(design, n), width)
    return None if found is None or found > MOST_SUBJECTS else found


def _say_interval(expected: Expected, design: Design, n_subjects: int, wished: float | None) -> str:
    measure, (low, high) = expected.measure, expected.interval(design, n_subjects)
    each = "one" if design.rows_per_subject == 1 else f"{design.rows_per_subject:g}"
    people = f"{n_subjects:,} subjects ({math.ceil(n_subjects * design.rows_per_subject):,} rows, {each} each)"
    article = "an" if measure.better > 0 else "a"
    ends = (
        f"{measure.show(low)} to {measure.show(high)} for {article} {measure.name} of {measure.show(expected.value)}"
    )
    most = "" if wished is None else "at most "
    width = f"{most}{measure.show_size(high - low if wished is None else wished)} from end to end"
    return f"{people} {'give' if wished is None else 'are needed for'} a 95 % interval of {width}: {ends}."


def _say_icc(asked: argparse.Namespace, expected: Expected, design: Design) -> str:
    if design.rows_per_subject == 1:
        return "Rows are independent: each subject has one."

    def result(icc: float) -> str:
        other = replace(design, icc=icc)
        if asked.width is not None:
            found = _find_count(expected, other, asked.width)
            return f"more than {MOST_SUBJECTS:,} subjects" if found is None else f"{found:,} subjects"
        low, high = expected.interval(other, asked.subjects)
        return f"{expected.measure.show_size(high - low)} wide"

    range_of = (
        f"0 (each row is as good as one of another subject: {result(0.0)}) and 1 (a subject's rows tell no more than "
        f"one of them: {result(1.0)})"
    )
    start = f"Rows of one subject are taken to be alike by an intra-subject correlation of {design.icc:g} (--icc)"
    if asked.icc is not None:
        return f"{start}, between {range_of}."
    return (
        f"{start}, the middle between {range_of}: nothing is known of yours. eval.py's report states the one that it "
        "found, as on a pilot's rows."
    )


def _say_differences(asked: argparse.Namespace, expected: Expected, design: Design, n_subjects: int) -> list[str]:
    lines, measure = [], expected.measure
    if asked.accuracy is not None:
        above = detectable_above(asked.chance, design.count_independent(n_subjects))
        told = "no accuracy, however high," if above is None else f"an accuracy of {percent(above)} or more"
        always = f"{percent(asked.chance)}, what one and the same answer gets (--chance)"
        lines.append(f"With {WITH_POWER} they tell {told} from {always}.")
    unit = 1.0 if asked.accuracy is not None else expected.sd  # so that it does not matter in which unit errors are
    variance = 2 * (expected.sd / unit) ** 2 * design.effect / design.rows_per_subject  # of a subject's difference
    one_row = design.rows_per_subject == 1
    paired = PairedDesign(variance, asked.accuracy is not None, one_row).detectable(n_subjects)
    if paired is None:
        return [*lines, "Between two models on the same rows so few show no difference, however large."]
    shown = measure.show_size(unit * paired)
    return [
        *lines,
        f"Between two models on the same rows they show a difference of {shown} or more with "
        f"{WITH_POWER}, if one errs independently of the other; of models that err on the same rows a smaller one.",
    ]
