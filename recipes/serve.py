"""Serve an exported model on this machine, as an OpenAI-compatible server: `transformers serve`, without a network.

    python recipes/serve.py --model_name_or_path exported
    python recipes/check_served.py --model_name_or_path exported --json_dir DATA --url http://127.0.0.1:8000/v1

For models that were trained with --intensity encoder: what the server makes of a PNG is then what training showed, to
the bit. `umbrella.client` asks it about a NIfTI. It answers for this model alone. Research software, not a medical
device.
"""

import os
import sys
from pathlib import Path

from umbrella.options.arguments import ModelArguments
from umbrella.options.commands.ending import run
from umbrella.options.parsing import parse_arguments
from umbrella.options.serve_arguments import ServeArguments

if __name__ == "__main__":  # a wrong flag, or --help, is answered before the slow imports
    run(lambda: parse_arguments((ModelArguments, ServeArguments)))

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

from umbrella.answers.serving.server import is_loopback
from umbrella.answers.serving.stock import check_folder
from umbrella.options.commands.free_port import check_port
from umbrella.options.extras import check_extra


def main() -> None:
    # ------------------------------------------------------------------------------------------------ arguments
    model_args, serve_args = parse_arguments((ModelArguments, ServeArguments))
    name, host, port = model_args.model_name_or_path, serve_args.host, serve_args.port
    for package in ("fastapi", "uvicorn", "openai", "pydantic"):
        check_extra(package, "serve.py", "serve")

    # ------------------------------------------------------------------------------------------------ model
    for warning in check_folder(name):
        print(warning, file=sys.stderr)
    check_port(host, port)
    if not is_loopback(host):
        print(f"WARNING: --host {host}: whoever reaches this address may ask, without a password", file=sys.stderr)

    # ------------------------------------------------------------------------------------------------ serve
    folder = Path(name).expanduser().absolute()
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    print(
        f"serving {name} as {folder.name!r}; ask it:\n"
        f'  python -c "from umbrella.client import Client; '
        f"print(Client('{url}', '{name}').ask('scan.nii.gz', 'QUESTION'))\"\n"
        f"  python recipes/check_served.py --model_name_or_path {name} --json_dir DATA --url {url}",
        flush=True,
    )
    from transformers.cli.serve import Serve

    os.chdir(folder.parent)  # so that the folder's own name, and no path of this machine, is the model's
    Serve(folder.name, host=host, port=port, device="cpu" if serve_args.use_cpu else "auto")


if __name__ == "__main__":
    run(main)
