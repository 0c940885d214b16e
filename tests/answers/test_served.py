"""A served model answers as it does here: `transformers serve` on loopback, asked by `umbrella.client`."""

import base64
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import check_served
import httpx
import numpy as np
import predict
import pytest
import serve
import torch
from conversation_folder import write_folder, write_scan
from families import FAMILIES, build_llava
from family_models import build_model
from launching import ROOT, find_free_port
from PIL import Image

from umbrella.answers.serving.comparison import CAUSES, PROMPT, TEXT, find_difference
from umbrella.answers.serving.stock import PROBE, check_folder
from umbrella.client import Client, Reply, ServerError
from umbrella.conversations.encoder import ConversationEncoder
from umbrella.hub.exporting import export_model
from umbrella.models.loading import load_model, load_processor
from umbrella.options.serve_arguments import ServeArguments
from umbrella.records.recipe import resolve_recipe
from umbrella.views.loading import load_view
from umbrella.views.settings import ViewSettings

QUESTION = "Is this scan of a male or a female?"


def export(folder, model, processor, **settings):
    """A model as export.py writes it, with weights so large that its answers depend on the scans."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in filter(lambda weights: weights.ndim > 1, model.parameters()):
            torch.nn.init.normal_(weights, std=0.1)
    # A random model says marks too, which the server's reading of Qwen's answers leaves in the text.
    end = processor.tokenizer.eos_token_id
    model.generation_config.suppress_tokens = [i for i in processor.tokenizer.all_special_ids if i != end]
    recipe = resolve_recipe(ViewSettings(**{"intensity": "encoder"} | settings), processor, "")
    export_model(model, processor, recipe, folder)
    return folder


def export_llava(folder, **settings):
    return export(folder, load_model("tiny"), load_processor("tiny"), **settings)


def export_qwen(folder):
    processor = FAMILIES["qwen2_5_vl"]()
    model = build_model("qwen2_5_vl", processor)
    model.set_attn_implementation("sdpa")
    return export(folder, model, processor, view="triplanar", image_size=56)


@contextmanager
def served(folder):
    """The url of a model that serve.py serves, once it answers."""
    port = find_free_port()
    command = [sys.executable, ROOT / "recipes" / "serve.py", "--model_name_or_path", folder.name, "--port", port]
    with open(folder.parent / "server.txt", "w+") as output:
        process = subprocess.Popen([*map(str, command)], cwd=folder.parent, stdout=output, stderr=subprocess.STDOUT)
        try:
            for _ in range(1200):
                assert process.poll() is None, (folder.parent / "server.txt").read_text()
                try:
                    httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)


# Asks without what a workstation need not have, see docs/serving.md.
WORKSTATION = """
import json, sys
class Block:
    def find_spec(self, name, *_):
        missing = "torch transformers datasets huggingface_hub accelerate yaml xxhash zlib_ng jinja2 scipy tqdm"
        if name.split(".")[0] in missing.split():
            raise ImportError(name)
sys.meta_path.insert(0, Block())
from umbrella.client import Client
url, recipe, image, question, reference = sys.argv[1:]
client = Client(url, recipe, max_new_tokens=12)
compared = {"reference": reference, "reference_label": "male"}
print(json.dumps([client.ask(image, question), client.ask(image, question, **compared)]))
"""


@pytest.mark.slow
def test_a_served_model_answers_as_here_also_without_torch_where_it_is_asked(call, tmp_path, monkeypatch, capsys):
    """Rows of no, one, two and three scans, in two slices each; then a scan alone, and after a reference. Another
    model, another name and a timeout are told apart from it."""
    folder = export_llava(tmp_path / "exported", view="slices:2")
    data = write_folder(tmp_path / "data", {"test": [1, 2, 3, 0, 1, 2, 3, 1]})
    for name, value in {"HTTP_PROXY": "http://127.0.0.1:9", "OPENAI_API_KEY": "private"}.items():
        monkeypatch.setenv(name, value)  # a workstation's proxy is not asked for what runs on it
    with served(folder) as url:
        said = (tmp_path / "server.txt").read_text()
        assert "serving exported as 'exported'; ask it:\n  python -c \"" in said and str(tmp_path) not in said
        flags = ("--json_dir", data, "--url", url, "--max_new_tokens", 12)
        capsys.readouterr()  # what libraries said so far
        out = call(check_served, "--model_name_or_path", "exported", "--served_name", "exported", *flags)
        found = re.fullmatch(r"equal: 8 of 8 answers \((\d+) different ones\) are predict.py's\n", out)
        assert found and int(found[1]) >= 5, out

        scan, other = (str(data / f"test_2_{i}.nii") for i in range(2))
        recipe = tmp_path / "alone.json"  # all that a workstation has of the model
        shutil.copy(folder / "umbrella_recipe.json", recipe)
        asked = subprocess.run(
            [sys.executable, "-c", WORKSTATION, url, recipe, scan, QUESTION, other],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'recipes'}{os.pathsep}{ROOT}"},
        )
        assert asked.returncode == 0, asked.stderr
        here = [
            call(predict, "--model_name_or_path", "exported", "--image", scan, "--question", QUESTION, *more).strip()
            for more in (
                ("--max_new_tokens", 12),
                ("--max_new_tokens", 12, "--reference", other, "--reference_label", "male"),
            )
        ]
        assert json.loads(asked.stdout) == here and here[0] != here[1]

        change_weights(folder, tmp_path / "changed")
        with pytest.raises(SystemExit) as ended:
            call(check_served, "--model_name_or_path", "changed", *flags, "--n", 2)
        assert ended.value.code == 1
        with pytest.raises(SystemExit, match=r"HTTP 400: Server is pinned to 'exported'; requested 'another'\. Ask"):
            call(check_served, "--model_name_or_path", "exported", *flags, "--n", 1, "--served_name", "another")
        with pytest.raises(ServerError, match=r"expected an answer within 0\.0001 s, found none"):
            Client(url, folder, timeout_s=0.0001).ask(scan, QUESTION)


def change_weights(folder, other):
    """The same model but for its language model's last weights."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, other)
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.endswith("embed_tokens.weight"))
    save_file(weights | {name: -weights[name]}, other / "model.safetensors", {"format": "pt"})


@pytest.mark.nightly
@pytest.mark.parametrize("export_model_of", [export_llava, export_qwen], ids=["llava", "qwen2_5_vl"])
def test_200_served_answers_are_those_of_predict(call, export_model_of, tmp_path, capsys):
    folder = export_model_of(tmp_path / "exported")
    data = write_folder(tmp_path / "data", {"test": [1, 2, 3, 1] * 50})
    capsys.readouterr()
    with served(folder) as url:
        flags = ("--model_name_or_path", "exported", "--json_dir", data, "--url", url)
        out = call(check_served, *flags, "--max_new_tokens", 24)
    found = re.fullmatch(r"equal: 200 of 200 answers \((\d+) different ones\) are predict.py's\n", out)
    assert found and int(found[1]) > 50, out


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export_llava(tmp_path_factory.mktemp("served") / "exported")


def rewrite(path, **changed):
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    ("file", "changed", "message"),
    [
        ("generation_config.json", {"eos_token_id": 5}, r"expected 2, the token that ends an answer.*Export it"),
        ("generation_config.json", {"num_beams": 4}, "expected num_beams 1, .*found 4. Set it to 1"),
    ],
)
def test_a_folder_that_was_changed_is_not_served(exported, tmp_path, file, changed, message):
    folder = shutil.copytree(exported, tmp_path / "changed")
    assert check_folder(str(folder)) == []
    rewrite(folder / file, **changed)
    with pytest.raises(ValueError, match=message):
        check_folder(str(folder))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"intensity": None}, r"found one that was shown the z-score of each scan.*Train it with --intensity encoder"),
        ({"intensity": None, "standardize": False}, "numbers that were not rounded to 8 bits"),
    ],
)
def test_a_model_that_no_server_can_show_its_scans_is_refused_everywhere(tmp_path, call, settings, message):
    """By the recipe alone: the other files are not there yet."""
    resolve_recipe(ViewSettings(**settings), load_processor("tiny"), "").save(tmp_path)
    for refuse in (
        lambda: call(serve, "--model_name_or_path", tmp_path),
        lambda: Client("http://127.0.0.1:8000", tmp_path),
    ):
        with pytest.raises((SystemExit, ValueError), match=message):
            refuse()


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("volumes", "expected a model of pictures, found view 'volume'.*recipes/predict.py"),
        ("chatml", r"expected a model with a chat template.*Put a chat_template\.jinja"),
    ],
)
def test_volumes_and_models_without_a_template_are_refused(family, message, tmp_path):
    settings = ViewSettings(intensity=None if family == "volumes" else "encoder")
    recipe = resolve_recipe(settings, FAMILIES[family](), "")
    with pytest.raises(ValueError, match=message):
        Client("http://127.0.0.1:8000", recipe)


def test_names_that_are_no_exported_folder_are_refused_with_the_way_out(call, exported, tmp_path):
    with pytest.raises(SystemExit, match=r"expected the folder of an exported model, found 'tiny'\. Export it"):
        call(serve)
    shutil.copytree(exported, tmp_path / "mine@2")
    with pytest.raises(SystemExit, match="expected a folder without @ in its name"):
        call(serve, "--model_name_or_path", "mine@2")
    with pytest.raises(ValueError, match=r"expected a model's folder with umbrella_recipe\.json.*Copy"):
        Client("http://127.0.0.1:8000", tmp_path)
    with pytest.raises(ValueError, match="--port: expected at least 1 and at most 65535, found 0"):
        ServeArguments(port=0)


def test_a_template_that_ends_no_earlier_answer_is_warned_of(tmp_path):
    """LLaVA-1.5's own: training puts the end token there, the server does not."""
    processor = build_llava()
    export(tmp_path / "exported", build_model("llava_1_5", processor), processor)
    (warning,) = check_folder(str(tmp_path / "exported"))
    assert warning.startswith("WARNING:") and "a question alone gets the same" in warning

    # The way out that it names.
    said, ended = "{{ c['text'] + ' ' }}", "{{ c['text'] }}{{ eos_token if m['role'] == 'assistant' }}{{ ' ' }}"
    pictures = [np.zeros((3, 336, 336), np.uint8)] * 2
    tokens = ConversationEncoder(processor, input_data_format="channels_first").encode(PROBE, pictures)["input_ids"]
    assert said in processor.chat_template
    processor.chat_template = processor.chat_template.replace(said, ended)
    again = ConversationEncoder(processor, input_data_format="channels_first").encode(PROBE, pictures)["input_ids"]
    assert again == tokens
    export(tmp_path / "ended", build_model("llava_1_5", processor), processor)
    assert check_folder(str(tmp_path / "ended")) == []


def test_a_port_in_use_is_said_before_the_model_is_loaded(call, exported):
    with other_server({}) as (url, _), pytest.raises(SystemExit, match=r"--port \d+: expected a free port.*in use"):
        call(serve, "--model_name_or_path", exported, "--port", url.rsplit(":", 1)[1])


@contextmanager
def other_server(answer, status=200):
    """The url of a server that answers each request with the same text or object, and the requests that it got."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], json.loads(content)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write((answer if isinstance(answer, str) else json.dumps(answer)).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        ("<html>Welcome</html>", 200, "expected a chat completion, found '<html>Welcome</html>'. Give the url of an"),
        ({"choices": []}, 200, "expected a chat completion"),
        ({"detail": "No such model."}, 404, r"found HTTP 404: No such model\. Ask for the model by the name"),
        ({"error": {"message": "full"}}, 500, r"found HTTP 500: full\. What the server printed tells more"),
        ({"error": "who?"}, 401, r"found HTTP 401: who\?\. Set UMBRELLA_API_KEY to the key"),
        ("", 503, "found HTTP 503: no word of why"),
    ],
)
def test_what_a_server_says_ends_in_one_sentence(exported, tmp_path, answer, status, message):
    write_scan(tmp_path / "scan.nii", 0)
    with other_server(answer, status) as (url, _), pytest.raises(ServerError, match=message) as error:
        Client(url, exported).ask(tmp_path / "scan.nii", QUESTION)
    assert str(error.value).startswith(f"{url}/v1: ") and "\n" not in str(error.value)


def test_a_server_that_is_not_there_or_no_url_is_said(exported, tmp_path):
    write_scan(tmp_path / "scan.nii", 0)
    with pytest.raises(ServerError, match=r"expected a server, found none that answers.*Start it \(recipes/serve"):
        Client(f"http://127.0.0.1:{find_free_port()}/v1", exported).ask(tmp_path / "scan.nii", QUESTION)
    for url in ("127.0.0.1:8000", "", "ftp://host/v1"):
        with pytest.raises(ValueError, match="url: expected one as http"):
            Client(url, exported)


def test_a_request_is_greedy_and_holds_the_pictures_in_the_conversations_order(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("UMBRELLA_API_KEY", "key")
    for seed in range(2):
        write_scan(tmp_path / f"{seed}.nii", seed)
    answer = {"choices": [{"message": {"role": "assistant", "content": " female\n"}}], "usage": {"prompt_tokens": 9}}
    ask = [{"type": "text", "text": "And this?"}, {"type": "image"}]
    turns = [
        {"role": "user", "content": ask[::-1]},
        {"role": "assistant", "content": "Understood."},
        {"role": "user", "content": ask},
        {"role": "assistant", "content": "The true answer."},
    ]
    scans = [{"path": str(tmp_path / f"{seed}.nii"), "modality": "sMRI"} for seed in range(2)]
    with other_server(answer) as (url, asked):
        client = Client(url, exported, model="mine", max_new_tokens=7)
        assert client.answer(turns, scans) == Reply("female", 9)
        with pytest.raises(ValueError, match=r"expected 2 pictures, .*found 1"):
            client.answer(turns, scans[:1])
    ((path, key, request),) = asked
    messages = request.pop("messages")
    assert (path, key) == ("/v1/chat/completions", "Bearer key")
    assert request == {"model": "mine", "temperature": 0, "max_tokens": 7}
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    first, reply, second = (message["content"] for message in messages)
    assert reply == [{"type": "text", "text": "Understood."}] and second[0] == first[1] == ask[0]
    for item, scan in zip((first[0], second[1]), scans, strict=True):
        kind, content = item["image_url"]["url"].split(",")
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).transpose(2, 0, 1)
        view = load_view(scan["path"], image_size=64, intensity="encoder")
        assert kind == "data:image/png;base64" and np.array_equal(shown / np.float32(255), view[0])


@pytest.mark.parametrize(
    ("here", "n_tokens", "reply", "where", "detail"),
    [
        ("female", 9, Reply("female", 9), None, None),
        ("female", 9, Reply("female", None), None, None),
        ("female", 9, Reply("female", 12), PROMPT, "9 tokens here, 12 at the server"),
        ("female", 9, Reply("fern", 9), TEXT, "from character 3 on: 'male' here, 'rn' at the server"),
        ("female", 9, Reply("female.", None), TEXT, "from character 7 on: '' here, '.' at the server"),
    ],
)
def test_where_an_answer_differs_is_said(here, n_tokens, reply, where, detail):
    found = find_difference(here, n_tokens, reply)
    assert found == (None if where is None else (where, detail))
    assert where is None or where in CAUSES
