"""export_task.py: what another tool shows a model from the folder alone, and what the model then answers."""

import ast
import json
import os
import shutil
import subprocess
import sys

import eval as evaluation
import export_task
import numpy as np
import pytest
import torch
import yaml
from datasets import load_dataset
from families import FAMILIES
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from transformers import AutoModelForImageTextToText, AutoProcessor

from umbrella.answers.numbers import NumberFormat
from umbrella.answers.reading import LabelReading, NumberReading
from umbrella.conversations.encoder import ConversationEncoder
from umbrella.conversations.turns import to_messages
from umbrella.evaluation.harness import task_functions
from umbrella.evaluation.harness.agreement import compare_with_folder, encode_as_others_do, load_functions
from umbrella.evaluation.harness.model_folder import NO_BOS, WITH_ENDS, fit_template
from umbrella.evaluation.harness.pictures import UNIT, Scale
from umbrella.evaluation.harness.reading_copy import copy_rules, describe_reading
from umbrella.evaluation.questions import Classification, FreeText, Regression
from umbrella.models.loading import load_model, load_processor
from umbrella.rows.transform import ConversationTransform
from umbrella_dataset import load_umbrella

LMMS_EVAL = os.environ.get("UMBRELLA_LMMS_EVAL_PYTHON")
LENGTH = ("--max_length", 256)
FAST = (*LENGTH, "--bootstrap", 10, "--controls", "false", "--baselines", "false", "--report", "false")


def run_recipe(recipe, *flags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [recipe.__name__, *map(str, flags)])
        recipe.main()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model that says something else to other pictures: its weights are larger than they are drawn. Much
    larger ones make a model whose answers hang on the rounding to 8 bits too."""
    folder = tmp_path_factory.mktemp("model")
    drawn = load_model("tiny", seed=0)
    with torch.no_grad():
        for parameter in drawn.parameters():
            parameter *= 1.75
    drawn.save_pretrained(folder)
    load_processor("tiny").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def task(model, small_data, tmp_path_factory):
    """The task's folder, of the test split of `small_data`."""
    folder = tmp_path_factory.mktemp("task") / "task"
    flags = ("--model_name_or_path", model, "--json_dir", small_data, "--output_dir", folder, *LENGTH)
    run_recipe(export_task, *flags, "--task_name", "heads", "--max_new_tokens", 12)
    return folder


@pytest.fixture(scope="module")
def docs(task):
    return [json.loads(line) for line in (task / "test.jsonl").read_text(encoding="utf-8").splitlines()]


def read_yaml(task):
    """As lmms-eval reads it: `!function utils.NAME` is what that name is in utils.py beside it."""

    class Loader(yaml.SafeLoader):
        pass

    functions = load_functions(task)
    Loader.add_constructor("!function", lambda loader, node: getattr(functions, node.value.removeprefix("utils.")))
    return yaml.load((task / "heads.yaml").read_text(encoding="utf-8"), Loader)


@pytest.mark.slow
def test_the_yaml_names_files_and_functions_that_are_there(task, docs):
    config = read_yaml(task)
    assert config["task"] == "heads" and config["output_type"] == "generate_until"
    assert config["generation_kwargs"] == {"max_new_tokens": 12, "do_sample": False, "temperature": 0}
    file = str(task / config["dataset_kwargs"]["data_files"][config["test_split"]])
    rows = load_dataset(config["dataset_path"], data_files={"test": file})["test"]
    assert len(rows) == len(docs) == 8
    for row, doc in zip(rows, docs, strict=True):
        roles = [message["role"] for message in config["doc_to_messages"](row)]
        assert roles == ["user", "assistant", "user"] and len(config["doc_to_visual"](row)) == 2
        assert config["doc_to_target"](row) == doc["target"] and "user: " in config["doc_to_text"](row)
        right = config["process_results"](row, [f" This subject is {doc['target']}.\n"])
        assert right == {"accuracy": {"score": 1.0, "subject": doc["subject"]}, "unreadable": 0.0}
    metrics = {metric["metric"]: metric for metric in config["metric_list"]}
    assert metrics.keys() == right.keys() and metrics["accuracy"]["higher_is_better"] is True
    assert metrics["accuracy"]["aggregation"]([{"score": 1.0}, {"score": 0.0}]) == 0.5
    assert len({doc["subject"] for doc in docs}) == 4


def test_a_stock_processor_makes_umbrellas_tokens_and_intensities_of_the_folder(task, docs, small_data):
    """Within the rounding to 256 levels; the model's own processor, which knows no z-scores, is far from it."""
    rows = load_umbrella(str(small_data), split="test").with_format(None)
    transform = ConversationTransform(load_processor("tiny"), add_generation_prompt=True, max_length=256)
    functions, adapted, own = load_functions(task), AutoProcessor.from_pretrained(task / "model"), transform.processor
    ends = [transform.load_images(row, number) for row in rows for number in range(2)]
    step = (max(map(np.max, ends)) - min(map(np.min, ends))) / 255
    for row, doc in zip(rows, docs, strict=True):
        expected, messages = transform.encode_row(row), functions.doc_to_messages(doc)
        found = encode_as_others_do(adapted, messages)
        assert found["input_ids"][0].tolist() == expected["input_ids"]
        assert (found["pixel_values"] - expected["pixel_values"]).abs().max() <= step / 2 + 1e-4
        by_own = encode_as_others_do(own, messages)["pixel_values"]
        assert (by_own - expected["pixel_values"]).abs().max() > 20 * step


@pytest.mark.slow
def test_what_differs_is_said(task, docs, small_data):
    """Another prompt and other views than the folder's: the comparison that the recipe makes finds both."""
    rows = load_umbrella(str(small_data), split="test")
    options = {"add_generation_prompt": True, "max_length": 256}
    same = compare_with_folder(task, rows, docs, ConversationTransform(load_processor("tiny"), **options))
    assert (same.n, same.n_other_tokens, same.n_other_shapes) == (8, 0, 0) and not same.list_warnings(0.02)
    other = ConversationTransform(load_processor("tiny"), view="coronal", **options)
    (warning,) = compare_with_folder(task, rows, docs, other).list_warnings(0.02)
    assert warning.startswith("WARNING") and "more than rounding explains" in warning
    other.processor.chat_template = other.processor.chat_template.replace("assistant", "answer")
    (warning,) = compare_with_folder(task, rows, docs, other).list_warnings(0.02)
    assert "8 of 8 rows have other tokens than in Umbrella" in warning
    several = ConversationTransform(load_processor("tiny"), view="slices:2", **options)
    (warning,) = compare_with_folder(task, rows, docs, several).list_warnings(0.02)
    assert "8 of 8 rows have pictures of another shape" in warning


@pytest.mark.parametrize(("family", "needs"), [("qwen2_5_vl", ""), ("gemma3", NO_BOS), ("llava_1_5", WITH_ENDS)])
def test_a_template_is_added_to_so_that_a_stock_processor_makes_the_tokens_of_training(family, needs):
    """Gemma's writes a first token that its tokenizer writes again, LLaVA-1.5's ends no answer."""
    own, adapted = FAMILIES[family](), FAMILIES[family]()
    encoder = ConversationEncoder(own)
    fit_template(adapted, encoder)
    assert adapted.chat_template == needs + own.chat_template
    texts = ("Is it a male?", "It is not.", "Is it a female?", "I see\ntwo lines.", "Sure?", "-")
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    found = encode_as_others_do(adapted, to_messages(turns[:-1]))
    assert found["input_ids"][0].tolist() == encoder.encode(turns, add_generation_prompt=True)["input_ids"]


def test_a_model_without_a_template_gets_chatml():
    own, adapted = load_processor("tiny"), load_processor("tiny")
    own.chat_template = adapted.chat_template = None
    fit_template(adapted, ConversationEncoder(own))
    messages = to_messages([{"role": "user", "content": "Male or female?"}])
    text = adapted.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nMale or female?<|im_end|>\n<|im_start|>assistant\n"


def generate(model, processor, messages):
    """As lmms-eval's `llava_hf` does."""
    inputs = encode_as_others_do(processor, messages)
    end = processor.tokenizer.eos_token_id
    options = {"do_sample": False, "temperature": None, "top_p": None, "num_beams": 1, "max_new_tokens": 12}
    with torch.no_grad():
        tokens = model.generate(**inputs, **options, use_cache=True, pad_token_id=end, eos_token_id=end)
    return processor.tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0]


@pytest.fixture(scope="module")
def predictions(model, small_data, tmp_path_factory):
    """What eval.py has the model say, task_id → text."""
    folder = tmp_path_factory.mktemp("eval")
    flags = ("--model_name_or_path", model, "--json_dir", small_data, "--output_dir", folder, "--max_new_tokens", 12)
    run_recipe(evaluation, *flags, *FAST)
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["task_id"]: record["prediction"] for record in map(json.loads, lines)}


@pytest.mark.slow
def test_a_stock_model_of_the_folder_answers_as_in_the_evaluation(task, docs, predictions):
    model = AutoModelForImageTextToText.from_pretrained(task / "model")
    processor, functions = AutoProcessor.from_pretrained(task / "model"), load_functions(task)
    answers = {doc["task_id"]: generate(model, processor, functions.doc_to_messages(doc)).strip() for doc in docs}
    assert answers == predictions and len(set(answers.values())) > 4
    changed = 0
    for doc in docs:
        messages = functions.doc_to_messages(doc)
        reference, subject = (item for turn in messages for item in turn["content"] if item["type"] == "image")
        reference["url"], subject["url"] = subject["url"], reference["url"]
        changed += generate(model, processor, messages).strip() != answers[doc["task_id"]]
    assert changed > 4  # it looks at the pictures


@pytest.mark.nightly
@pytest.mark.skipif(LMMS_EVAL is None, reason="UMBRELLA_LMMS_EVAL_PYTHON names no Python with lmms-eval and decord")
def test_lmms_eval_itself_loads_the_task_and_gets_the_same_answers(task, docs, predictions, tmp_path):
    args = f"pretrained={task / 'model'},device=cpu,device_map=cpu"
    command = [LMMS_EVAL, "-m", "lmms_eval", "--include_path", task, "--tasks", "heads", "--model", "llava_hf"]
    command += ["--model_args", args, "--batch_size", "1", "--log_samples", "--output_path", tmp_path]
    subprocess.run(list(map(str, command)), check=True, cwd=tmp_path, timeout=600, stdout=subprocess.DEVNULL)
    (file,) = tmp_path.glob("*/*samples_heads.jsonl")
    samples = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    answers = {docs[sample["doc_id"]]["task_id"]: sample["filtered_resps"].strip() for sample in samples}
    assert answers == predictions
    (file,) = tmp_path.glob("*/*results.json")
    results = json.loads(file.read_text(encoding="utf-8"))["results"]["heads"]
    score = load_functions(task).process_results
    scores = [score(doc, [predictions[doc["task_id"]]]) for doc in docs]
    assert results["accuracy,none"] == np.mean([entry["accuracy"]["score"] for entry in scores])
    assert results["unreadable,none"] == np.mean([entry["unreadable"] for entry in scores])
    assert "accuracy_stderr_clustered,none" in results


def make_folder(tmp_path, question):
    """utils.py with the rules and the settings of a question, as write_task writes them."""
    copy_rules(tmp_path / "reading")
    shutil.copy(task_functions.__file__, tmp_path / "utils.py")
    (tmp_path / "reading.json").write_text(json.dumps(describe_reading(question)), encoding="utf-8")
    return load_functions(tmp_path)


TEXTS = (
    "This is female.",
    "male",
    "not male",
    "weiblich",
    "",
    "I see 41,5 years.",
    "1.204",
    "no idea",
    "die männliche",
)


@pytest.mark.parametrize(
    "reading",
    [LabelReading(("female", "male"), ("{label}r",)), LabelReading(("männlich", "weiblich"), ("{label}e",))],
)
def test_labels_are_read_as_the_evaluation_reads_them(reading, tmp_path):
    functions = make_folder(tmp_path, Classification(reading, "{label}"))
    for text in TEXTS:
        doc = {"target": reading.labels[0], "subject": "s0"}
        found = functions.process_results(doc, [f"{text} "])
        own = reading.read(text)
        assert found["accuracy"] == {"score": float(own == doc["target"]), "subject": "s0"}
        assert found["unreadable"] == float(own is None)


@pytest.mark.slow
def test_numbers_are_read_as_the_evaluation_reads_them_and_texts_compared(tmp_path):
    reading = NumberReading("years", NumberFormat(",", "."))
    (tmp_path / "numbers").mkdir()
    functions = make_folder(tmp_path / "numbers", Regression(reading))
    for text in TEXTS:
        found = functions.process_results({"target": 40.0, "subject": "s1", "error_if_unread": 17.0}, [text])
        own = reading.read(text)
        assert found["mae"]["score"] == (17.0 if own is None else abs(own - 40))
        assert found["unreadable"] == float(own is None)
    (tmp_path / "texts").mkdir()
    functions = make_folder(tmp_path / "texts", FreeText())
    for text, score in (("A lesion. ", 1.0), ("a lesion.", 0.0)):
        found = functions.process_results({"target": "A lesion.", "subject": "s1"}, [text])
        assert found == {"exact_match": {"score": score, "subject": "s1"}, "unreadable": 0.0}


def test_what_is_written_needs_nothing_of_umbrella(tmp_path):
    make_folder(tmp_path, FreeText())
    for path in tmp_path.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert (path.parent / f"{node.module}.py").is_file(), path
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
                assert {name.split(".")[0] for name in names} <= {*sys.stdlib_module_names, "PIL"}, path


@examples(50)
@given(st.floats(-50, 50), st.floats(0.01, 500), st.integers(0, 1000))
def test_a_level_is_within_half_a_step_of_what_it_stands_for(low, width, seed):
    scale = Scale(low, low + width)
    image = np.random.default_rng(seed).uniform(low, low + width, (3, 4, 5)).astype(np.float32)
    levels = scale.to_levels(image)
    assert levels.shape == (4, 5, 3) and levels.dtype == np.uint8
    back = low + levels.transpose(2, 0, 1) / 255 * width
    assert np.abs(back - image).max() <= scale.most_error + 1e-5 * (abs(low) + width)


@pytest.mark.slow
def test_several_pictures_of_a_scan_without_z_scores_keep_the_processors_own_mean(small_data, tmp_path):
    flags = ("--model_name_or_path", "tiny", "--json_dir", small_data, "--output_dir", tmp_path / "task", *LENGTH)
    run_recipe(export_task, *flags, "--view", "slices:3", "--standardize", "false", "--with_model", "false")
    adapted, own = (AutoProcessor.from_pretrained(tmp_path / "task" / "model"), load_processor("tiny"))
    assert adapted.image_processor.image_mean == pytest.approx(own.image_processor.image_mean)
    assert adapted.image_processor.image_std == pytest.approx(own.image_processor.image_std)
    assert not list((tmp_path / "task").rglob("*.safetensors"))
    line = (tmp_path / "task/test.jsonl").read_text(encoding="utf-8").splitlines()[0]
    items = [item for turn in json.loads(line)["messages"] for item in turn["content"]]
    assert sum(item["type"] == "image" for item in items) == 6
    readme = (tmp_path / "task/README.md").read_text(encoding="utf-8")
    assert "from 0 to 1 in" in readme and "WARNING" not in readme and "That is also what" in readme
    assert (tmp_path / "task/conversations_test.yaml").is_file() and UNIT.most_error == 1 / 510


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model_name_or_path", "tiny3d"), "expected a model for pictures, which is what lmms-eval shows"),
        (("--view", "volume"), "expected one of the views of pictures"),
        (("--task_name", "a-b"), "--task_name: expected letters, digits and _, found 'a-b'"),
        (("--max_length", "40"), "expected rows that fit into --max_length 40"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(flags, words, small_data, call, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        call(export_task, "--json_dir", small_data, "--output_dir", tmp_path / "out", *flags)
    assert words in f"{end.value} {capsys.readouterr().err}"
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_refused(small_data, call, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="expected an empty or new folder, found 1 files"):
        call(export_task, "--json_dir", small_data, "--output_dir", tmp_path)
