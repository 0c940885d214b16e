"""Run docs/tour.ipynb from top to bottom and store it with what its cells show, as readers see it.

python docs/run_tour.py    # after a change of the notebook, or of what it shows (pip install -e ".[cohort,eval,tour]")

The kernel is the Python that runs this. It works in a temporary folder, where also lies what Jupyter, IPython and the
libraries keep.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from unittest import mock

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
TOUR = Path(__file__).with_name("tour.ipynb")
KERNEL = "umbrella-tour"
# Where Jupyter, IPython, matplotlib and the Hub's libraries keep things; without them, in the user's home.
PLACES = (
    "JUPYTER_DATA_DIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_RUNTIME_DIR",
    "IPYTHONDIR",
    "MPLCONFIGDIR",
    "HF_HOME",
    "HF_DATASETS_CACHE",
)


def execute(notebook: nbformat.NotebookNode, folder: Path, timeout_s: int = 600) -> None:
    """Run all cells of a notebook with this Python, below `folder`; their outputs are put into it.

    Raises nbclient's CellExecutionError for a cell that fails, with its traceback.
    """
    kernel = folder / "jupyter" / "kernels" / KERNEL
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": KERNEL, "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    work = folder / "work"
    work.mkdir()
    places = {name: str(folder / name.lower()) for name in PLACES}
    paths = {"JUPYTER_PATH": str(folder / "jupyter"), "TMPDIR": str(work), "OMP_NUM_THREADS": "1"}
    with mock.patch.dict(os.environ, places | paths):
        client = NotebookClient(
            notebook, timeout=timeout_s, kernel_name=KERNEL, resources={"metadata": {"path": str(work)}}
        )
        client.execute()


def strip_runs(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Take out of a notebook what is this run's alone: places on this machine, times, warnings of the kernel."""
    places = re.compile(rf"{re.escape(str(folder.resolve() / 'work'))}/[\w-]+/|{re.escape(str(ROOT))}/")
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = places.sub("", output.text)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def main() -> None:
    notebook = nbformat.read(TOUR, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder))
        strip_runs(notebook, Path(folder))
    nbformat.write(notebook, TOUR)
    print(f"{TOUR}: {TOUR.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
