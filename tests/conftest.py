"""Every cache of a test session lies in one temporary folder, which is removed at its end."""

import atexit
import os
import shutil
import tempfile

# Read at import by the libraries below, and inherited by the processes that tests launch.
CACHES = tempfile.mkdtemp(prefix="umbrella-tests-")
atexit.register(shutil.rmtree, CACHES, ignore_errors=True)
for name in ("HF_HOME", "HF_DATASETS_CACHE", "TORCH_EXTENSIONS_DIR", "TRITON_CACHE_DIR", "MPLCONFIGDIR", "WANDB_DIR"):
    os.environ[name] = os.path.join(CACHES, name.lower())
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
