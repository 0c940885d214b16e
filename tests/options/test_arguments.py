"""YAML and flags become options; what does not fit ends with one sentence."""

from pathlib import Path

import pytest
from transformers import TrainingArguments

from umbrella.options.arguments import DataArguments, EvalArguments, ModelArguments
from umbrella.options.extras import describe_missing
from umbrella.options.parsing import parse_arguments, read_yaml_flags
from umbrella.options.training_arguments import TrainArguments

TRAIN, EVAL = (ModelArguments, DataArguments, TrainArguments), (ModelArguments, DataArguments, EvalArguments)
CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"


@pytest.fixture
def parse(tmp_path):
    """Parse train.py's flags, after those that it cannot do without."""

    def parse_flags(*flags, yaml=None):
        front = []
        if yaml is not None:
            (tmp_path / "recipe.yaml").write_text(yaml, encoding="utf-8")
            front = [str(tmp_path / "recipe.yaml")]
        return parse_arguments(TRAIN, [*front, "--json_dir", "data", "--output_dir", str(tmp_path / "out"), *flags])

    return parse_flags


@pytest.fixture
def refuse(parse, capsys):
    """Parse flags that must be refused. Returns what is printed."""

    def parse_wrong(*flags, yaml=None):
        with pytest.raises(SystemExit) as stop:
            parse(*flags, yaml=yaml)
        assert stop.value.code == 2
        return capsys.readouterr().err

    return parse_wrong


# ------------------------------------------------------------------------------------------------ what is understood


def test_defaults_are_the_guides(parse):
    assert parse()[0].model_name_or_path == "tiny"
    _, data, training = parse("--model_name_or_path", "llava-hf/llava-1.5-7b-hf")
    assert (data.max_length, data.on_overflow, data.view, data.image_size) == (2048, "drop_turns", None, None)
    assert (training.learning_rate, training.num_train_epochs) == (2e-5, 3)
    assert (training.per_device_train_batch_size, training.per_device_eval_batch_size) == (4, 4)
    assert training.train == ["all"]
    assert training.remove_unused_columns is False
    assert training.augment is False


def test_the_guides_spellings_mean_todays_flags(parse):
    _, data, training = parse(
        "--batch_size",
        "8",
        "--epochs=5",
        "--learning_rate",
        "1e-4",
        "--max_length",
        "512",
        "--evaluation_strategy",
        "no",
    )
    assert (training.per_device_train_batch_size, training.per_device_eval_batch_size) == (8, 8)
    assert (training.num_train_epochs, training.learning_rate, data.max_length) == (5, 1e-4, 512)
    assert training.eval_strategy == "no"


def test_logging_dir_of_the_guide_is_taken(parse):
    assert parse("--logging_dir", "runs/logs")[2].logging_dir == "runs/logs"


def test_evaluation_has_a_batch_size_of_its_own():
    options = parse_arguments(EVAL, ["--json_dir", "data", "--batch_size", "2"])[2]
    assert options.batch_size == 2


def test_numbers_of_a_yaml_are_numbers(parse):
    *_, training = parse(yaml="learning_rate: 2e-4\nnum_train_epochs: 2\nwarmup_steps: 7\nbf16: false\n")
    assert (training.learning_rate, training.num_train_epochs, training.warmup_steps) == (2e-4, 2, 7)
    assert training.bf16 is False


def test_a_yaml_takes_lists_mappings_and_both_spellings(parse):
    _, data, training = parse(
        yaml="task_types: [T1, T3]\nbatch_size: 2\neval_strategy: 'no'\n"
        "gradient_checkpointing_kwargs:\n  use_reentrant: false\n"
        "lr_scheduler_kwargs: {min_lr: 1e-6, name: cosine}\n"
    )
    assert data.task_types == ["T1", "T3"]
    assert training.per_device_train_batch_size == 2
    assert training.eval_strategy == "no"
    assert training.gradient_checkpointing_kwargs == {"use_reentrant": False}
    assert training.lr_scheduler_kwargs == {"min_lr": 1e-6, "name": "cosine"}


LISTS = {"--task_types": ["T1", "T3"], "--modalities": ["sMRI", "dMRI"], "--train": ["projector", "lora"],
         "--lora_target_modules": ["q_proj", "v_proj"], "--report_to": ["tensorboard", "wandb"]}  # fmt: skip


@pytest.mark.parametrize("flag", LISTS)
@pytest.mark.parametrize(
    "write", [",".join, ", ".join, " ".join, list], ids=["comma", "comma and space", "space", "words"]
)
def test_every_list_is_taken_with_commas_or_spaces(parse, flag, write):
    words = write(LISTS[flag])
    for flags in ([flag, words] if isinstance(words, str) else [flag, *words], [f"{flag}={','.join(LISTS[flag])}"]):
        instances = parse(*flags)
        (found,) = [vars(one)[flag[2:]] for one in instances if flag[2:] in vars(one)]
        assert found == LISTS[flag]


def test_labels_with_spaces_stay_whole():
    for words in (["mild cognitive impairment,control"], ["mild cognitive impairment", "control"]):
        options = parse_arguments(
            EVAL, ["--json_dir", "data", "--labels", *words, "--by", "sex", "site", "--seed", "1"]
        )[2]
        assert options.labels == ["mild cognitive impairment", "control"]
        assert (options.by, options.seed) == (["sex", "site"], 1)


def test_flags_win_over_the_yaml(parse):
    _, data, training = parse(
        "--epochs", "9", "--task_types", "T2", yaml="num_train_epochs: 2\nseed: 4\ntask_types: [T1, T3]\n"
    )
    assert (training.num_train_epochs, training.seed, data.task_types) == (9, 4, ["T2"])


def test_the_deepspeed_launchers_local_rank_may_stand_in_front(tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"json_dir: data\noutput_dir: {tmp_path}/out\nseed: 3\n")
    *_, training = parse_arguments(TRAIN, ["--local_rank=0", str(tmp_path / "recipe.yaml"), "--seed", "5"])
    assert training.seed == 5


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_that_ships_is_understood(path, tmp_path):
    _, data, training = parse_arguments(TRAIN, [str(path), "--output_dir", str(tmp_path / "out")])
    assert data.json_dir or data.dataset_name
    assert read_yaml_flags(str(path))[::2].count("--learning_rate") == 1 and 1e-7 < training.learning_rate < 1e-1


# ------------------------------------------------------------------------------------------------ what is refused


def test_an_unknown_flag_is_refused_with_the_nearest_that_there_is(refuse):
    error = refuse("--learning_rte", "1e-4")
    assert "unknown argument --learning_rte: did you mean --learning_rate?" in error
    assert error.count("\n") == 2  # two lines, not pages of usage


def test_an_unknown_key_of_a_yaml_is_refused_too(refuse):
    assert "unknown argument --max_lenght: did you mean --max_length?" in refuse(yaml="max_lenght: 512\n")


def test_abbreviations_are_refused(refuse):
    assert "unknown argument --learning" in refuse("--learning", "1e-4")


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--epochs", "many"), "--epochs: expected a number, found 'many'"),
        (("--on_overflow", "cut"), "invalid choice: 'cut'"),
        (("--dataset_name", "someone/brains"), "exactly one of --json_dir FOLDER and --dataset_name NAME"),
        (("leftover",), "unknown argument leftover"),
        (("--batch_size", "0"), "error: --batch_size: expected at least 1, found 0"),
        (("--epoch", "3"), "unknown argument --epoch: did you mean --epochs?"),
        (("--outputdir", "runs/x"), "unknown argument --outputdir: did you mean --output_dir?"),
        (("--max_length", "1.5"), "--max_length: expected a whole number, found '1.5'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(refuse, flags, message):
    assert message in refuse(*flags)


def test_batches_are_made_by_rows_or_by_tokens(refuse, parse):
    tokens = ("--tokens_per_batch", "512")
    for other in ("--batch_size 4", "--auto_find_batch_size true", "--dataloader_drop_last true"):
        found = refuse(*tokens, *other.split())
        assert f"--tokens_per_batch: expected no {other.removesuffix(' 4')} beside it, found both" in found
    for other in ("--train_sampling_strategy group_by_length", "--train_sampling_strategy sequential"):
        assert f"expected no {other} beside it" in refuse(*tokens, *other.split())
    assert "--tokens_per_batch: expected at least 1, found 0" in refuse("--tokens_per_batch", "0")
    assert "recipe.yaml) beside it, found both" in refuse(yaml="batch_size: 4\ntokens_per_batch: 512\n")
    assert "expected no --batch_size beside" in refuse("--batch_size", "4", yaml="tokens_per_batch: 512\n")
    # The command line switches off what a YAML has set up; evaluation has rows a batch as before.
    args = parse(*tokens, yaml="batch_size: 2\n")[2]
    assert (args.tokens_per_batch, args.per_device_train_batch_size, args.per_device_eval_batch_size) == (512, 1, 2)
    assert parse(*tokens, "--per_device_eval_batch_size", "3")[2].per_device_eval_batch_size == 3


def test_several_processes_do_not_look_for_a_batch_size(refuse, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda self: 2))
    assert "--auto_find_batch_size: expected one process, found 2" in refuse("--auto_find_batch_size", "true")


def test_a_missing_package_of_a_flag_is_named_with_its_command(parse, monkeypatch):
    monkeypatch.setattr("umbrella.options.extras.find_spec", lambda package: None)
    with pytest.raises(ImportError, match=r'--use_liger_kernel: .* pip install -e "\.\[liger\]"'):
        parse("--use_liger_kernel", "true")


def test_of_a_library_that_is_no_checkout_the_extra_is_asked_for_by_the_projects_name(tmp_path, monkeypatch):
    monkeypatch.setattr("umbrella.options.extras.__file__", str(tmp_path / "umbrella" / "options" / "extras.py"))
    assert describe_missing("peft", "--train lora", "peft").endswith('pip install "umbrella-vlm[peft]"')


def test_data_and_output_are_needed(capsys):
    for flags, message in ((["--output_dir", "out"], "--json_dir FOLDER"), (["--json_dir", "data"], "--output_dir")):
        with pytest.raises(SystemExit):
            parse_arguments(TRAIN, flags)
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "expected a YAML file with a recipe, found no such file"),
        ("- a\n- b\n", "expected a mapping of flags to values, found list"),
        ("a: [1\n", "expected ',' or ']'"),
    ],
)
def test_a_yaml_that_is_no_recipe_is_refused(tmp_path, capsys, text, message):
    path = tmp_path / "recipe.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit):
        parse_arguments(TRAIN, [str(path)])
    assert message in capsys.readouterr().err


def test_what_was_given_says_where(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("epochs: 3\nmax_steps: 5\n")
    (training,) = parse_arguments((TrainArguments,), [str(path), "--max_steps", "4", "--output_dir", "run"])
    assert training.given == {
        "num_train_epochs": f"--epochs (in {path})",
        "max_steps": "--max_steps",
        "output_dir": "--output_dir",
    }
