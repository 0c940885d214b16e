"""What lies in ds_configs/ is read by the programs it is for, and training starts with it."""

import json
import os
import re
import subprocess
from collections import Counter

import pytest
import torch
import yaml
from accelerate.commands import launch as accelerate_launch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DeepSpeedPlugin, DistributedType, FullyShardedDataParallelPlugin, patch_environment
from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from forking import launch_forked
from launching import BIN, ROOT, find_free_port
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from umbrella.models.loading import load_model
from umbrella.models.tiny_llava import build_tiny_llava
from umbrella.options.training_arguments import TrainArguments

FOLDER = ROOT / "ds_configs"
JSONS = sorted(FOLDER.glob("*.json"))
YAMLS = sorted(FOLDER.glob("*.yaml"))
SBATCH = FOLDER / "slurm_zero2.sbatch"
ARRAY = FOLDER / "slurm_cross_validate.sbatch"
# From the repository's folder, as everybody starts them: accelerate's files name ds_configs/zero2.json.
TRAIN = ["recipes/train.py", "recipes/configs/quickstart.yaml", "--max_steps", "2", "--batch_size", "2"]
FAST = ["--eval_strategy", "no", "--dataloader_num_workers", "0", "--report_to", "none"]

named = pytest.mark.parametrize("path", JSONS, ids=lambda path: path.stem)


def test_every_file_has_a_line_in_the_folders_readme_with_its_command():
    rows = re.findall(r"^\| `(\S+)` \| .+ \| `(.+)` \|$", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    commands = dict(rows)
    assert sorted(commands) == sorted(path.name for path in FOLDER.iterdir() if path.name != "README.md")
    for name, command in commands.items():
        assert f"ds_configs/{name}" in command
    for yaml_file in YAMLS:  # and at its own top
        assert re.split(" --num_| recipes/", commands[yaml_file.name])[0] in yaml_file.read_text("utf-8")


# ------------------------------------------------------------------------------------------------ DeepSpeed


def fill(path, tmp_path, **options):
    """The JSON with its "auto" values filled in, as train.py does it."""
    args = TrainArguments(output_dir=str(tmp_path), deepspeed=str(path), **options)
    try:
        args.hf_deepspeed_config.trainer_config_finalize(args, build_tiny_llava()[0], num_training_steps=10)
        return args.hf_deepspeed_config.config
    finally:
        unset_hf_deepspeed_config()


@named
@pytest.mark.parametrize("bf16", [True, False], ids=["bf16", "float32"])
def test_deepspeed_takes_each_json_once_the_flags_have_filled_it(path, bf16, tmp_path):
    runtime = pytest.importorskip("deepspeed.runtime.config")
    config = fill(path, tmp_path, bf16=bf16, per_device_train_batch_size=3, gradient_accumulation_steps=5)
    assert '"auto"' not in json.dumps(config)
    parsed = runtime.DeepSpeedConfig(config)
    assert (parsed.train_micro_batch_size_per_gpu, parsed.gradient_accumulation_steps) == (3, 5)
    assert (parsed.train_batch_size, parsed.gradient_clipping) == (15, 1.0)
    assert (parsed.bfloat16_config.enabled, parsed.float16_config.enabled) == (bf16, False)
    zero, name = parsed.zero_config, path.stem
    assert zero.stage == int(re.match(r"zero(\d)", name)[1])
    assert (zero.offload_optimizer is not None) == name.endswith("offload")
    assert (zero.offload_param is not None) == (name == "zero3_offload")
    assert zero.gather_16bit_weights_on_model_save == (zero.stage == 3)
    assert zero.reduce_bucket_size == 128**2  # the tiny model's hidden size, not buffers of 10⁹ bytes
    assert parsed.optimizer_name is None and parsed.scheduler_name is None  # the Trainer's


def test_without_deepspeed_the_error_names_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("umbrella.options.extras.find_spec", lambda package: None)
    with pytest.raises(ImportError, match=r'--deepspeed: .* pip install -e "\.\[deepspeed\]"'):
        TrainArguments(output_dir=str(tmp_path), deepspeed=str(JSONS[0]))
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ImportError, match="--deepspeed"):
        TrainArguments(output_dir=str(tmp_path))


# ------------------------------------------------------------------------------------------------ accelerate


def read_launch(path, *flags):
    """What `accelerate launch --config_file path` makes of the file."""
    parser = accelerate_launch.launch_command_parser()
    args = parser.parse_args(["--config_file", str(path), *flags, "recipes/train.py"])
    return accelerate_launch._validate_launch_command(args)[0]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_accelerate_loads_each_yaml_with_the_launcher_it_is_named_for(path):
    config = load_config_from_file(str(path))
    kinds = {"cpu": "NO", "ddp": "MULTI_GPU", "fsdp2": "FSDP"}
    kind = kinds.get(path.stem.removeprefix("accelerate_"), "DEEPSPEED")
    assert config.distributed_type == DistributedType(kind)
    assert config.mixed_precision is None  # the recipe's flags say it
    if kind == "DEEPSPEED":
        assert (ROOT / config.deepspeed_config["deepspeed_config_file"]).is_file()
    args = read_launch(path, *(["--num_processes", "2"] if "multinode" in path.stem else []))
    assert (args.use_cpu, args.use_deepspeed, args.use_fsdp) == (kind == "NO", kind == "DEEPSPEED", kind == "FSDP")
    assert (args.num_processes, args.num_machines) == (1 if kind == "NO" else 2, 2 if "multinode" in path.stem else 1)


@pytest.mark.parametrize("path", [p for p in YAMLS if "zero" in p.stem], ids=lambda path: path.stem)
def test_accelerates_deepspeed_plugin_is_built_from_each_yaml(path, monkeypatch):
    pytest.importorskip("deepspeed")
    monkeypatch.chdir(ROOT)
    flags = ["--main_process_ip", "first"] if "multinode" in path.stem else []
    args = read_launch(path, "--num_processes", "8", *flags, "--main_process_port", "0")
    args.deepspeed_fields_from_accelerate_config = ",".join(yaml.safe_load(path.read_text())["deepspeed_config"])
    args.machine_rank = 1  # the first machine's port is looked up
    command, environment = prepare_deepspeed_cmd_env(args)
    assert command is None  # its own processes, by torchrun: no pdsh, no ssh
    if flags:
        assert (args.nproc_per_node, args.nnodes, args.node_rank) == ("4", "2", 1)
        assert args.rdzv_endpoint.startswith("first:")
    with patch_environment(**environment):
        plugin = DeepSpeedPlugin()  # refuses fields that contradict the file
    assert plugin.zero_stage == int(re.search(r"zero(\d)", path.stem)[1])
    assert plugin.zero3_init_flag == (plugin.zero_stage == 3)


MODELS = {
    "llava_1_5_7b": (None, {"LlamaDecoderLayer": 32, "CLIPEncoderLayer": 24}),
    "llava_interleave_0_5b": ("LLaVA-interleave", {"Qwen2DecoderLayer": 24, "SiglipEncoderLayer": 26}),
    "qwen2_5_vl_3b": ("Qwen2.5-VL", {"Qwen2_5_VLDecoderLayer": 36, "Qwen2_5_VLVisionBlock": 32}),
    "smolvlm_500m": ("SmolVLM", {"LlamaDecoderLayer": 32, "Idefics3EncoderLayer": 12}),
}


@pytest.mark.parametrize("model", MODELS)
def test_fsdp2_finds_the_layers_of_each_model(model, caplog):
    in_readme, layers = MODELS[model]
    flags = []
    if in_readme:
        text = (FOLDER / "README.md").read_text("utf-8")
        flags = ["--fsdp_transformer_layer_cls_to_wrap", re.search(rf"`([\w,]+)` \({in_readme}\)", text)[1]]
    args = read_launch(FOLDER / "accelerate_fsdp2.yaml", "--num_processes", "2", "--main_process_port", "0", *flags)
    with patch_environment(**prepare_multi_gpu_env(args)):
        plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    config = AutoConfig.from_pretrained(ROOT / "tests" / "model_configs" / model)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    plugin.set_auto_wrap_policy(model)  # raises for a name that the model has not
    wrapped = fsdp2_prepare_auto_wrap_policy(plugin, model)
    assert Counter(type(module).__name__ for module in model.modules() if wrapped(module)) == layers
    assert "deprecat" not in caplog.text


# ------------------------------------------------------------------------------------------------ Slurm

SRUN = """#!/bin/bash
echo "srun $1 $2" >> calls
while [ "$1" != bash ]; do shift; done
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
PYTHON = """#!/bin/bash
echo "RANK=$RANK LOCAL_RANK=$LOCAL_RANK WORLD_SIZE=$WORLD_SIZE $MASTER_ADDR:$MASTER_PORT $HF_HUB_OFFLINE $*" >> calls
exit $CODE
"""


@pytest.mark.parametrize("code", [75, 143, 0, 1])
def test_slurm_job_gives_each_task_its_rank_and_requeues_where_it_was_told_to_end(code, tmp_path):
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python": PYTHON}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    slurm = {"JOB_ID": "41234", "JOB_NODELIST": "node[7-8]", "NTASKS": "4", "CPUS_PER_TASK": "8"}
    environment = {f"SLURM_{name}": value for name, value in slurm.items()}
    environment |= {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CODE": str(code)}
    job = subprocess.run(["bash", SBATCH, "CONFIG.yaml", "--seed", "3"], cwd=tmp_path, env=environment)
    assert job.returncode == code
    first, srun, *ranks = (tmp_path / "calls").read_text().splitlines()
    assert first == "scontrol show hostnames node[7-8]"
    assert "--kill-on-bad-exit=0 --cpus-per-task=8" in srun
    flags = "recipes/train.py CONFIG.yaml --deepspeed ds_configs/zero2.json --resume_from_checkpoint auto --seed 3"
    for rank, line in enumerate(ranks[:4]):
        assert line == f"RANK={rank} LOCAL_RANK={rank % 2} WORLD_SIZE=4 node7:11234 1 {flags}"
    assert ranks[4:] == (["scontrol requeue 41234"] if code in (75, 143) else [])


@pytest.mark.parametrize("code", [0, 1, 75])
def test_slurm_array_runs_the_fold_of_its_task_and_requeues_where_it_was_told_to_end(code, tmp_path):
    python = '#!/bin/bash\necho "$OMP_NUM_THREADS $*" >> calls\nexit "$CODE"\n'
    srun = '#!/bin/bash\nshift\nexec "$@"\n'
    for name, text in {"srun": srun, "scontrol": SCONTROL, "python": python}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "8", "CODE": str(code)}
    environment["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    job = subprocess.run(["bash", ARRAY, "CONFIG.yaml", "--folds", "5"], cwd=tmp_path, env=os.environ | environment)
    assert job.returncode == code
    first, *rest = (tmp_path / "calls").read_text().splitlines()
    assert first == "8 recipes/cross_validate.py CONFIG.yaml --fold 3 --folds 5"
    assert rest == (["scontrol requeue 7"] if code == 75 else [])
    options = dict(re.findall(r"^#SBATCH (--[\w-]+)(?:=(\S+))?$", ARRAY.read_text("utf-8"), re.MULTILINE))
    assert {"--requeue", "--signal", "--open-mode"} <= options.keys() and options["--ntasks"] == "1"
    without_config = subprocess.run(["bash", ARRAY], capture_output=True, text=True)
    assert without_config.returncode and "usage: sbatch" in without_config.stderr


def test_slurm_job_is_valid_bash_and_asks_for_what_its_comments_promise():
    subprocess.run(["bash", "-n", SBATCH], check=True)
    options = re.findall(r"^#SBATCH (--[\w-]+)(?:=(\S+))?$", SBATCH.read_text("utf-8"), re.MULTILINE)
    options = dict(options)
    assert {"--requeue", "--signal", "--open-mode"} <= options.keys() and options["--signal"] == "TERM@300"
    assert options["--ntasks-per-node"] == options["--gpus-per-node"]
    without_config = subprocess.run(["bash", SBATCH], capture_output=True, text=True)
    assert without_config.returncode and "usage: sbatch" in without_config.stderr


# ------------------------------------------------------------------------------------------------ launches


@pytest.mark.nightly  # the README's commands start accelerate on a CPU in each run
@pytest.mark.slow
def test_accelerate_starts_the_quickstart_on_a_cpu(small_data, tmp_path):
    flags = [*TRAIN, "--json_dir", small_data, "--output_dir", tmp_path / "run", *FAST]
    out = launch_forked([BIN / "accelerate", "launch", "--config_file", FOLDER / "accelerate_cpu.yaml", *flags], ROOT)
    assert out.count("world size: 1") == 1
    assert (tmp_path / "run/model.safetensors").is_file()


@pytest.mark.nightly
def test_accelerate_trains_two_cpu_processes_together(small_data, tmp_path):
    """By DDP. By ZeRO-2 it trains the quickstart in test_main_job.py; `deepspeed` starts one in test_resuming.py."""
    flags = [*TRAIN, "--json_dir", small_data, "--output_dir", tmp_path / "run", *FAST, "--save_strategy", "epoch"]
    accelerate = [BIN / "accelerate", "launch", "--config_file", "ds_configs/accelerate_ddp.yaml"]
    out = launch_forked([*accelerate, "--main_process_port", find_free_port(), *flags], ROOT)
    assert out.count("world size: 2") == 2
    checkpoint = tmp_path / "run/checkpoint-2"
    assert len(list(checkpoint.glob("rng_state_*.pth"))) == 2
    assert not list(checkpoint.rglob("*_optim_states.pt"))


ONE_BY_ONE = """
import atexit, sys
from unittest.mock import patch
sys.path.insert(0, "recipes")
import train
from umbrella.options.commands import ending as command
names = sys.argv[1:]
for name in names:
    run = f"{FOLDER}/{name}"
    by_yaml = [] if name == "zero3" else ["--deepspeed", f"{run}.json"]
    sys.argv = [*TRAIN, "--train", "projector", "--output_dir", run, *by_yaml]
    train.main()
sys.argv = [*TRAIN, "--output_dir", f"{FOLDER}/zero3", "--deepspeed", f"{FOLDER}/zero3.json"]
sys.argv += ["--train", "projector", "--max_steps", "3", "--resume_from_checkpoint", "auto"]
train.main()
# Stage 2 after stage 1: the projector's checkpoint is put together under ZeRO-3.
sys.argv = [*TRAIN, "--output_dir", f"{FOLDER}/stage2", "--deepspeed", f"{FOLDER}/zero3.json"]
sys.argv += ["--model_name_or_path", f"{FOLDER}/zero3", "--learning_rate", "1e-6", "--train", "projector,lm_head"]
atexit.register(lambda: print("at exit"))
try:
    command.run(train.main)
finally:  # Python's end, by hand: multiprocessing leaves it out where a process was forked
    with patch("os._exit", lambda code: print("left with", code)):
        atexit._run_exitfuncs()
print("taken apart")  # not reached: several processes end within `run`
"""


@pytest.mark.nightly
def test_offload_and_zero3_train_two_cpu_processes_to_the_same_loss(small_data, tmp_path):
    """In one launch, one by one, the projector alone: what is saved of weights that lie in shards. ZeRO-3 first comes
    by accelerate's file. Offload with torch's AdamW: DeepSpeed's for the CPU would compile for a minute."""
    names = ["zero2_offload", "zero3", "zero3_offload"]
    for name in names:
        config = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
        (tmp_path / f"{name}.json").write_text(json.dumps(config | {"zero_force_ds_cpu_optimizer": False}))
    argv = [*TRAIN, "--json_dir", str(small_data), *FAST, "--save_strategy", "epoch"]
    (tmp_path / "one_by_one.py").write_text(f"TRAIN = {argv}\nFOLDER = {str(tmp_path)!r}\n{ONE_BY_ONE}")
    accelerate = [BIN / "accelerate", "launch", "--config_file", "ds_configs/accelerate_zero3.yaml"]
    out = launch_forked(
        [*accelerate, "--main_process_port", find_free_port(), tmp_path / "one_by_one.py", *names], ROOT
    )
    assert out.count("world size: 2") == 2 * (len(names) + 2)
    for name in names:  # under ZeRO-3 each process has a part of the weights
        states = list(tmp_path.glob(f"{name}/checkpoint-2/global_step2/mp_rank_00_model_states.pt"))
        assert len(states) == (name == "zero2_offload")
    losses = {json.loads((tmp_path / name / "train_results.json").read_text())["train_loss"] for name in names[::2]}
    assert max(losses) - min(losses) < 1e-4
    first, *others = [load_file(tmp_path / name / "checkpoint-2/trained_weights.safetensors") for name in names]
    assert {name.split(".")[1] for name in first} == {"multi_modal_projector"}
    before, after = load_model("tiny", seed=0).state_dict(), load_model(tmp_path / "zero3").state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(first)
    for other in others:
        for name, value in first.items():
            torch.testing.assert_close(other[name], value, atol=1e-5, rtol=1e-5)
    assert (out.count("at exit"), out.count("left with 0"), out.count("taken apart")) == (2, 2, 0)
    second = load_file(tmp_path / "stage2/trained_weights.safetensors")
    for name in first:
        torch.testing.assert_close(second[name], after[name], atol=1e-6, rtol=0)
    assert out.count("going on from") == 1
    assert json.loads((tmp_path / "zero3/trainer_state.json").read_text())["global_step"] == 3
