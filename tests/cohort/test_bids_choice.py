"""Which scan of a random BIDS tree is chosen: exactly the one that a brute-force reading of what was written picks."""

import gzip
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from umbrella.cohort.bids.entities import Condition
from umbrella.cohort.bids.scans import Selection, find_bids_scans
from umbrella.cohort.shared.visits import CohortError, Exclusions, Visit

SUFFIXES = {"sMRI": "T1w", "fMRI": "bold"}
FOLDERS = {"T1w": "anat", "bold": "func", "T2w": "anat"}
VALUES = {
    "task": (None, "rest", "1"),
    "acq": (None, "a"),
    "run": (None, "1", "01", "2", "10"),
    "space": (None, "MNI"),
}
FILES = st.fixed_dictionaries(
    {
        **{name: st.sampled_from(values) for name, values in VALUES.items()},
        "suffix": st.sampled_from(("T1w", "bold", "T1w", "bold", "T2w")),
        "prefix": st.sampled_from(("", "", "", "m", "wc1")),
        "ends": st.sampled_from(((".nii",), (".nii.gz",), (".nii", ".nii.gz"), (".nii", ".nii.gz", "other"))),
    }
)
TREES = st.dictionaries(
    st.tuples(st.sampled_from(("01", "02")), st.sampled_from(("", "1", "pre"))),
    st.lists(FILES, max_size=4),
    min_size=1,
)
CONDITIONS = st.dictionaries(
    st.tuples(st.sampled_from((None, None, "sMRI", "fMRI")), st.sampled_from(sorted(VALUES))),
    st.integers(0, 5),
    max_size=2,
)


MODALITIES = (("sMRI",), ("sMRI", "fMRI"))


def write(folder, tree):
    """Write the files; returns those of each (subject, level); a later one of the same name counts."""
    written = {}
    for (subject, session), files in tree.items():
        parts = [f"sub-{subject}", *([f"ses-{session}"] if session else [])]
        folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)
        for file in files:
            entities = [f"{name}-{file[name]}" for name in VALUES if file[name] is not None]
            stem = file["prefix"] + "_".join([*parts, *entities, file["suffix"]])
            place = folder.joinpath(*parts, FOLDERS[file["suffix"]])
            place.mkdir(exist_ok=True)
            for old in place.glob(f"{stem}.nii*"):
                old.unlink()
            for end in file["ends"][:2]:
                content = b"\x5c\x01\0\0other" if "other" in file["ends"] and end == ".nii" else b"\x5c\x01\0\0voxels"
                (place / f"{stem}{end}").write_bytes(gzip.compress(content) if end == ".nii.gz" else content)
            written.setdefault((subject, session), {})[place / stem] = file
    return written


def is_same(name, found, wanted):
    if wanted is None or found is None:
        return found == wanted
    return int(found) == int(wanted) if name == "run" else found == wanted


def pick(written, subject, session, modality, conditions, run):
    """The path of the scan, or None: the rules of the README, one after another."""
    for level in dict.fromkeys((session, "")):
        fits = []
        for stem, file in written.get((subject, level), {}).items():
            if file["suffix"] != SUFFIXES[modality] or file["prefix"]:
                continue
            own = {name: value for (of, name), value in conditions.items() if of == modality}
            general = {name: value for (of, name), value in conditions.items() if of is None}
            if not all(is_same(name, file[name], value) for name, value in {**general, **own}.items()):
                continue
            if run == "1" and not is_same("run", file["run"], "1"):
                continue
            fits.append((stem, file))
        if not fits:
            continue
        if len({(file["task"], file["acq"], file["space"]) for _, file in fits}) > 1:
            return None
        numbers = [int(file["run"] or 0) for _, file in fits]
        if len(fits) > 1 and (run not in ("first", "last") or len(set(numbers)) < len(numbers)):
            return None
        stem, file = min(fits, key=lambda f: int(f[1]["run"] or 0) * (-1 if run == "last" else 1))
        if "other" in file["ends"]:
            return None
        return f"{stem}{'.nii.gz' if '.nii.gz' in file['ends'] else '.nii'}"
    return None


@examples(80)
@given(
    TREES, CONDITIONS, st.sampled_from(("", "", "first", "last", "1")), st.sampled_from((("sMRI",), ("sMRI", "fMRI")))
)
def test_the_scans_chosen_are_those_that_the_names_say(tree, drawn, run, modalities):
    conditions = {
        (modality, name): VALUES[name][i % len(VALUES[name])]
        for (modality, name), i in drawn.items()
        if modality is None or modality in modalities
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        written = write(folder, tree)
        subjects = sorted({subject for subject, _ in tree})
        sessions = {subject: [s for other, s in tree if other == subject and s] or [""] for subject in subjects}
        expected = {}
        for subject in subjects:
            for session in sessions[subject]:
                paths = [pick(written, subject, session, modality, conditions, run) for modality in modalities]
                if None not in paths:
                    expected[subject, session] = paths
        selection = Selection(
            {modality: SUFFIXES[modality] for modality in modalities},
            run=run,
            entities=tuple(Condition(of, name, value or "") for (of, name), value in conditions.items()),
        )
        visits = [Visit(f"sub-{subject}", session, {}) for subject in subjects for session in sessions[subject]]
        exclusions = Exclusions()
        try:
            found = find_bids_scans(visits, folder, selection, exclusions)
        except CohortError as error:
            assert not expected and str(folder) in str(error)
            found = []
        assert {(v.participant_id[4:], v.session): [*v.scans.values()] for v in found} == expected
        left_out = {(row.participant_id[4:], row.session) for row in exclusions.rows}
        assert left_out == {(v.participant_id[4:], v.session) for v in visits} - expected.keys()


def test_every_pair_of_extensions_and_runs_is_reached_by_the_oracle():
    """The brute force itself, on a case that is judged by hand."""
    file = {"task": "rest", "acq": None, "run": "01", "space": None, "suffix": "bold", "prefix": "", "ends": (".nii",)}
    written = {("01", ""): {"a": file, "b": {**file, "run": "2"}}}
    picked = [pick(written, "01", "pre", "fMRI", {}, run) for run in ("", "first", "last", "1")]
    assert picked == [None, "a.nii", "b.nii", "a.nii"]
