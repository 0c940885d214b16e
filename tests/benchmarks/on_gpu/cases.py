"""The cases of gpu.py: recipes as they stand, and with one flag changed."""

from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig, LlavaConfig

from umbrella.models.volumes.tower import VolumeTowerConfig

ROOT = Path(__file__).parents[3]
RECIPES, SHAPES = ROOT / "recipes" / "configs", ROOT / "tests" / "model_configs"
BUILT = ("tiny", "tiny3d")
VIT3D = "vit3d"


@dataclass(frozen=True)
class Case:
    """A recipe to be measured.

    model       a name out of SHAPES or BUILT, or VIT3D
    recipe      in RECIPES; None: flags alone
    flags       that the estimate follows too
    train_only  that change nothing of what is estimated
    strategy    the line of the estimate
    """

    name: str
    model: str
    recipe: str | None
    flags: tuple[str, ...] = ()
    train_only: tuple[str, ...] = ()
    strategy: str = "DDP"

    @property
    def recipe_key(self) -> tuple:
        """What the estimate depends on."""
        return self.model, self.recipe, self.flags, self.strategy

    @property
    def precision(self) -> str:
        if "--load_in_4bit" in self.flags:
            return "4 bit, bf16"
        return "float32" if self.recipe in FLOAT32 else "bf16"

    def source(self, folder: Path) -> str:
        """From where its config is read."""
        if self.model in BUILT:
            return self.model
        return str(folder / VIT3D if self.model == VIT3D else SHAPES / self.model)

    def to_flags(self, model: str, folder: Path) -> list[str]:
        """What train.py and estimate_memory.py are both given."""
        recipe = [] if self.recipe is None else [str(RECIPES / f"{self.recipe}.yaml")]
        return [*recipe, "--model_name_or_path", model, *SHORT, "--output_dir", str(folder / "run"), *self.flags]


FLOAT32 = ("quickstart", "lesion3d")
SHORT = (
    "--gradient_accumulation_steps 2 --max_steps 1000 --eval_strategy no --save_strategy no --report_to none "
    "--logging_steps 1000 --dataloader_num_workers 0 --disable_tqdm true"
).split()
NO_CHECKPOINTING = ("--activation_checkpointing", "false")
LIGER, COMPILE = ("--use_liger_kernel", "true"), ("--torch_compile", "true")
VOLUMES = tuple(
    "--json_dir data --bf16 true --activation_checkpointing true --batch_size 4 --max_length 1024 --view volume "
    "--volume_size 96x112x96 --volume_spacing 2".split()
)
SERIES = "--frames 8 --batch_size 1 --max_length 3072".split()
HALF_BATCH = ("--batch_size", "1")
QLORA = ("--train", "lora", "--load_in_4bit", "true")
ZERO2, ZERO3 = (("--deepspeed", str(ROOT / f"ds_configs/zero{stage}.json")) for stage in (2, 3))
LLAVA, SMOL, QWEN, LARGE = "llava_interleave_0_5b", "smolvlm_500m", "qwen2_5_vl_3b", "llava_1_5_7b"

CASES = [
    Case("tiny", "tiny", "quickstart"),
    Case("tiny3d", "tiny3d", "lesion3d"),
    Case("llava-0.5b", LLAVA, LLAVA),
    Case("llava-0.5b plain", LLAVA, LLAVA, NO_CHECKPOINTING),
    Case("vit3d-0.5b", VIT3D, None, VOLUMES),
    Case("vit3d-0.5b plain", VIT3D, None, (*VOLUMES, *NO_CHECKPOINTING)),
    Case("vit3d-0.5b series", VIT3D, None, (*VOLUMES, *SERIES)),
    Case("smolvlm-500m", SMOL, SMOL),
    Case("smolvlm-500m plain", SMOL, SMOL, NO_CHECKPOINTING),
    Case("qwen-3b lora", QWEN, "qwen2_5_vl_3b_lora"),
    Case("qwen-3b lora plain", QWEN, "qwen2_5_vl_3b_lora", NO_CHECKPOINTING),
    Case("llava-7b lora", LARGE, "llava_1_5_7b_lora"),
    Case("llava-7b lora plain 1 row", LARGE, "llava_1_5_7b_lora", (*NO_CHECKPOINTING, *HALF_BATCH)),
    Case("llava-7b qlora", LARGE, "llava_1_5_7b_lora", QLORA),
    Case("llava-0.5b liger", LLAVA, LLAVA, (), LIGER),
    Case("llava-0.5b zero2", LLAVA, LLAVA, (), ZERO2, "ZeRO-2"),
    Case("llava-0.5b zero3", LLAVA, LLAVA, (), ZERO3, "ZeRO-3"),
    Case("llava-7b lora liger", LARGE, "llava_1_5_7b_lora", (), LIGER),
    Case("llava-7b projector", LARGE, "llava_1_5_7b_stage1", ("--batch_size", "8")),
    Case("llava-0.5b compile", LLAVA, LLAVA, NO_CHECKPOINTING, COMPILE),
    Case("vit3d-0.5b compile", VIT3D, None, (*VOLUMES, *NO_CHECKPOINTING), COMPILE),
]


def write_configs(folder: Path) -> None:
    """The config of a model for volumes: 12 layers on patches of 16 mm, before a language model of 0.5 B."""
    flat = AutoConfig.from_pretrained(SHAPES / LLAVA)
    config = LlavaConfig(
        vision_config=VolumeTowerConfig(),
        text_config=flat.text_config,
        image_token_index=flat.image_token_id,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    config.save_pretrained(folder / VIT3D)
