"""The image's recipes are whole, agree, and the Slurm job hands its tasks to it. No container engine runs here."""

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE, DEFINITION = ROOT / "container" / "Dockerfile", ROOT / "container" / "umbrella.def"
JOB = ROOT / "ds_configs" / "slurm_container.sbatch"
HADOLINT = Path(sys.executable).with_name("hadolint")
SCRIPTS = ("post", "environment", "runscript", "test")
# https://apptainer.org/docs/user/main/definition_files.html#sections
SECTIONS = {
    "setup",
    "files",
    "app",
    "post",
    "test",
    "environment",
    "startscript",
    "runscript",
    "labels",
    "help",
    "arguments",
}
STRANGERS = ("data/sub-01.nii", "runs/first/run.json", ".git/config", "key.pem", ".env", "my.dicom_key", "tests/x.py")


def read_dockerfile():
    """[(instruction, the rest of its line)], lines that go on joined."""
    lines = [line for line in DOCKERFILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]


def read_definition():
    """Header → its value, section → its lines."""
    head, *sections = re.split(r"^%(?=\w)", DEFINITION.read_text("utf-8"), flags=re.MULTILINE)
    pairs = (line.split(": ", 1) for line in head.splitlines() if line and not line.startswith("#"))
    parted = (section.split("\n", 1) for section in sections)
    return dict(pairs), {name.strip(): [line.strip() for line in text.splitlines() if line] for name, text in parted}


def list_steps(lines):
    """The commands of a shell text that joins them by && or lines."""
    steps = [shlex.split(step) for line in lines for step in line.split("&&")]
    return [step for step in steps if step and step[0] != "cd"]


def read_ignored():
    """Patterns of files within the copied folders that stay out of Docker's image; what Python has compiled apart."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    return [line for line in lines if line[:1] not in ("", "#", "!") and line != "*" and not line.startswith("**/")]


def passes(path):
    """Whether .dockerignore lets a path into the image, by Docker's rule: the last pattern that fits it, or a folder
    above it, decides."""
    parts, ignored = Path(path).parts, False
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!")
        if (
            line
            and not line.startswith("#")
            and any(
                fnmatch(name, pattern.removeprefix("**/")) or fnmatch(name, pattern.replace("**/", "*/"))
                for name in above
            )
        ):
            ignored = not line.startswith("!")
    return not ignored


def test_hadolint_finds_nothing_and_would_find_something(tmp_path):
    if not HADOLINT.exists():
        pytest.skip("hadolint is not installed beside this Python")
    found = subprocess.run([HADOLINT, "-f", "json", DOCKERFILE], capture_output=True, text=True)
    assert (found.returncode, json.loads(found.stdout)) == (0, [])
    broken = tmp_path / "Dockerfile"
    broken.write_text(DOCKERFILE.read_text("utf-8").replace("RUN apt-get update", "RUN if apt-get update"))
    assert subprocess.run([HADOLINT, broken], capture_output=True).returncode == 1


def test_the_definition_has_known_sections_whose_scripts_are_valid():
    header, sections = read_definition()
    assert header.keys() == {"Bootstrap", "From"} and header["Bootstrap"] == "docker"
    assert set(SCRIPTS) < sections.keys() <= SECTIONS
    for name in SCRIPTS:
        subprocess.run(["bash", "-n"], input="\n".join(sections[name]), text=True, check=True)
    assert sections["runscript"] == ['exec python "$@"']


def test_both_images_are_made_by_the_same_steps_from_the_same_files():
    header, sections = read_definition()
    instructions = read_dockerfile()
    assert instructions[0] == ("FROM", header["From"])
    runs = [rest for name, rest in instructions if name == "RUN"]
    # Of the definition there is no list of what stays out: it is removed.
    removing, *steps = list_steps(sections["post"])
    assert removing[:2] == ["rm", "-rf"] and removing[2:] == read_ignored()
    assert list_steps(runs) == steps
    copied = [rest.split()[:-1] for name, rest in instructions if name == "COPY"]
    assert [name for names in copied for name in names] == [line.split()[0] for line in sections["files"]]
    variables = [rest for name, rest in instructions if name == "ENV"]
    assert sections["environment"] == [f"export {variables[0]}"]
    assert instructions[-1][0] == "USER" and not instructions[-1][1].startswith(("root", "0"))


def test_the_image_has_the_pins_the_python_of_ci_and_extras_that_exist():
    (install,) = [step for step in list_steps(read_definition()[1]["post"]) if step[0] == "pip"]
    assert install[install.index("-c") + 1] == "constraints.txt"
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = re.fullmatch(r"\.\[(.+)\]", install[-1])[1].split(",")
    assert sorted(extras) == extras and set(extras) <= set(setup["options.extras_require"])
    of_ci = re.search(r'python-version: "(.+)"', (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))[1]
    assert read_definition()[0]["From"] == f"python:{of_ci}-slim"


def test_what_is_copied_exists_and_comes_through_and_nothing_else_does():
    copied = [line.split()[0] for line in read_definition()[1]["files"]]
    tracked = subprocess.run(["git", "ls-files", *copied], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in tracked.stdout.splitlines():
        assert (ROOT / path).exists() and passes(path), path
    assert all((ROOT / name).exists() for name in copied)
    kept_out = [*STRANGERS, "sample_data/lesion_conversations/train/a.json", "recipes/umbrella/__pycache__/x.pyc"]
    assert not [path for path in kept_out if passes(path)]


SRUN = """#!/bin/bash
shift 2
code=0
for id in 0 1 2 3; do
    SLURM_PROCID=$id SLURM_LOCALID=$((id % 2)) "$@" || code=$?
done
exit $code
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> calls
[ "$1" != show ] || printf 'node7\\nnode8\\n'
"""
APPTAINER = """#!/bin/bash
[ "$1 $2 $3" = "exec --nv --bind" ] && [ "$5" = --pwd ] || exit 9
echo "bound $4 image $7" >> calls
shift 7
exec "$@"
"""
PYTHON = """#!/bin/bash
echo "RANK=$RANK LOCAL_RANK=$LOCAL_RANK WORLD_SIZE=$WORLD_SIZE $MASTER_ADDR:$MASTER_PORT ${PYTHONPATH-} $*" >> calls
exit $CODE
"""


@pytest.mark.parametrize("code", [75, 143, 0, 1])
def test_the_job_gives_each_task_its_rank_in_the_image_and_requeues_where_it_was_told_to_end(code, tmp_path):
    fakes = {"srun": SRUN, "scontrol": SCONTROL, "apptainer": APPTAINER, "python": PYTHON}
    for name, text in fakes.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    slurm = {"JOB_ID": "41234", "JOB_NODELIST": "node[7-8]", "NTASKS": "4", "CPUS_PER_TASK": "8"}
    environment = {f"SLURM_{name}": value for name, value in slurm.items()}
    environment |= {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CODE": str(code), "BIND": "/data"}
    environment |= {"PYTHONPATH": "/of/the/cluster"}
    job = subprocess.run(["bash", JOB, "a.sif", "CONFIG.yaml", "--seed", "3"], cwd=tmp_path, env=environment)
    assert job.returncode == code
    first, *calls = (tmp_path / "calls").read_text().splitlines()
    assert first == "scontrol show hostnames node[7-8]"
    flags = "--deepspeed /opt/umbrella/ds_configs/zero2.json --resume_from_checkpoint auto --seed 3"
    assert calls[:8:2] == [f"bound {tmp_path},/data image a.sif"] * 4
    for rank, line in enumerate(calls[1:8:2]):
        started = f"RANK={rank} LOCAL_RANK={rank % 2} WORLD_SIZE=4 node7:11234  /opt/umbrella/recipes/train.py"
        assert line == f"{started} CONFIG.yaml {flags}"
    assert calls[8:] == (["scontrol requeue 41234"] if code in (75, 143) else [])


def test_the_job_is_valid_bash_and_asks_for_what_the_other_one_does():
    subprocess.run(["bash", "-n", JOB], check=True)
    asked = [
        re.findall(r"^#SBATCH (\S+)$", path.read_text("utf-8"), re.MULTILINE)
        for path in (JOB, JOB.with_name("slurm_zero2.sbatch"))
    ]
    assert asked[0] == asked[1] and "--signal=TERM@300" in asked[0]
    for arguments in ([], ["a.sif"]):
        without = subprocess.run(["bash", JOB, *arguments], capture_output=True, text=True)
        assert without.returncode and "usage: sbatch" in without.stderr
