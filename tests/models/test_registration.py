"""Claims about `import umbrella`: it imports next to nothing, and transformers knows the models whichever is first."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KNOWN = "print(transformers.AutoConfig.for_model('umbrella_volume_tower').__class__.__name__)"
# One process each: what is imported cannot be undone.
ORDERS = {
    "umbrella first, then threads": "import umbrella, sys, threading\n"
    "assert not {'transformers'} & set(sys.modules)\n"
    "def load(): from transformers import AutoModelForImageTextToText, AutoProcessor\n"
    "threads = [threading.Thread(target=load) for _ in range(4)]\n"
    "[one.start() for one in threads]; [one.join() for one in threads]",
    "transformers first": "from transformers import AutoModelForImageTextToText, AutoProcessor; import umbrella",
    "a module of the models first": "from umbrella.models.volumes.processor import VolumeProcessor",
}
FORKING = """
import json, os, sys
sys.path.insert(0, {recipes!r})
# Large, and of no consequence: imported once, before the process is copied.
import accelerate, huggingface_hub, nibabel, numpy, safetensors, scipy.ndimage, tokenizers, torch, torchvision
assert not {{"transformers", "umbrella"}} & set(sys.modules)
said = {{}}
for name, code in {orders!r}.items():
    read, write = os.pipe()
    if os.fork() == 0:
        os.dup2(write, 1)
        exec(code + "\\nimport transformers\\n" + {known!r}, {{}})
        import umbrella
        print([type(finder).__name__ for finder in sys.meta_path if type(finder).__module__.startswith("umbrella")])
        sys.stdout.flush()
        os._exit(0)
    os.close(write)
    said[name] = os.fdopen(read).read()
    os.wait()
print(json.dumps(said))
"""


@pytest.mark.slow
def test_in_any_order_transformers_knows_the_models_and_nothing_stays_behind():
    code = FORKING.format(recipes=str(ROOT / "recipes"), orders=ORDERS, known=KNOWN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert said == dict.fromkeys(ORDERS, "VolumeTowerConfig\n[]\n"), done.stderr[-3000:]


def test_import_umbrella_alone_imports_next_to_nothing():
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'recipes')!r}); import umbrella; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"torch", "transformers", "numpy", "nibabel"} & set(done.stdout.split())
