"""BIDS trees of studies, their scans empty files, and the conversations that are generated of them."""

import json

from umbrella.cohort.generation import generate, parse_options

SEQUENCES = ("T1w", "FLAIR", "T2w")
STUDY = ("--modalities_of_visit", ",".join(SEQUENCES))


def write_studies(folder, n=20):
    """participants.tsv and for each `sub-*` the three sequences."""
    lines = ["participant_id\tsex"]
    for i in range(1, n + 1):
        lines.append(f"sub-{i:02d}\t{'MF'[i % 2]}")
        for name in SEQUENCES:
            touch_scan(folder, f"sub-{i:02d}", name)
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    return folder


def touch_scan(tree, subject, name):
    path = tree / subject / "anat" / f"{subject}_{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0")
    return path


def remove_scan(tree, subject, name):
    (tree / subject / "anat" / f"{subject}_{name}.nii.gz").unlink()


def generate_records(tree, *flags):
    """(all conversations, exclusions as (participant, session, reason)); the data folder is `out`, beside the tree."""
    out = tree.parent / "out"
    generate(parse_options("", ["--bids_dir", str(tree), "--output_dir", str(out), "--target", "sex", *flags]))
    paths = [path for split in ("train", "validation", "test") for path in sorted((out / split).glob("*.json"))]
    rows = [line.split("\t") for line in (out / "exclusions.tsv").read_text().splitlines()[1:]]
    return [json.loads(path.read_text()) for path in paths], [tuple(row[:3]) for row in rows]
