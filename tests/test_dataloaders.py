"""Claims about the guide's API: its batches, its defaults, training in a loop and in a Trainer, what it refuses."""

import inspect
import warnings

import families
import pytest
import torch
from conversation_folder import write_folder
from family_models import build_model
from torch.optim import AdamW
from torch.utils.data import RandomSampler, SequentialSampler
from transformers import Trainer, TrainingArguments

from umbrella.conversations.encoder import ConversationError
from umbrella.dataloaders import (
    UMBRELLADataLoader,
    create_umbrella_dataloaders,
    format_conversation,
    load_image,
)
from umbrella.models.guide_batch import flatten_arguments
from umbrella.models.loading import load_model, load_processor
from umbrella.models.tiny_llava import build_tiny_tokenizer
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError
from umbrella_dataset import FormatError, load_umbrella

SCANS = {"train": [2, 1, 2, 0, 2], "validation": [0, 2, 1]}  # scans of each conversation


@pytest.fixture(scope="module")
def processor():
    return load_processor("tiny")


@pytest.fixture(scope="module")
def json_dir(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("conversations"), SCANS)


@pytest.fixture(scope="module")
def dataset(json_dir, processor):
    return UMBRELLADataLoader(json_dir, "train", processor.tokenizer, processor, max_length=128)


def test_parameters_and_defaults_are_the_guides():
    def defaults(call):
        return {
            name: parameter.default
            for name, parameter in inspect.signature(call).parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }

    assert next(iter(inspect.signature(UMBRELLADataLoader).parameters)) == "json_dir"
    assert defaults(UMBRELLADataLoader) == {
        "split": "train",
        "tokenizer": None,
        "processor": None,
        "image_root": None,
        "image_size": None,
        "normalize": True,
        "standardize": True,
        "max_length": 2048,
        "add_generation_prompt": False,
        "view": None,
        "on_overflow": "drop_turns",
        "task_types": None,
        "modalities": None,
        "volume_cache": None,
        "remote_roots": None,
    }
    loader = defaults(UMBRELLADataLoader.create_dataloader)
    assert loader == {"batch_size": 4, "shuffle": None, "num_workers": 0, "pin_memory": True, "drop_last": None}
    both = defaults(create_umbrella_dataloaders)
    assert (both["batch_size"], both["max_length"], both["num_workers"]) == (4, 2048, 0)


def test_a_row_is_the_transforms_example_padded_to_max_length(dataset, json_dir, processor):
    rows = load_umbrella(json_dir, split="train")
    rows.set_transform(ConversationTransform(processor))
    example, row = rows[0], dataset[0]
    length = len(example["input_ids"])
    assert row["input_ids"].tolist() == example["input_ids"] + [processor.tokenizer.pad_token_id] * (128 - length)
    assert row["attention_mask"].tolist() == [1] * length + [0] * (128 - length)
    assert row["labels"].tolist() == example["labels"] + [-100] * (128 - length)
    assert torch.equal(row["pixel_values"], example["pixel_values"])
    assert row["pixel_values"].shape == (2, 3, 64, 64)
    assert row["task_id"] == "train_0"


def test_metadata_are_those_of_the_file(dataset):
    metadata = dataset[0]["metadata"]
    assert (metadata["subject_id"], metadata["subject_label"], metadata["age"]) == ("train_0", "female", 45)
    assert "extra" not in metadata


def test_a_batch_has_the_guides_structure_with_zeros_for_missing_images(dataset):
    batch = next(iter(dataset.create_dataloader(batch_size=4, shuffle=False)))
    for name in ("input_ids", "attention_mask", "labels"):
        assert batch[name].shape == (4, 128)
        assert batch[name].dtype == torch.int64
    assert batch["pixel_values"].shape == (4, 2, 3, 64, 64)
    assert batch["num_images"].tolist() == [2, 1, 2, 0]
    assert torch.equal(batch["pixel_values"][0], dataset[0]["pixel_values"])
    assert not batch["pixel_values"][1, 1].any()
    assert not batch["pixel_values"][3].any()
    assert batch["task_ids"] == ["train_0", "train_1", "train_2", "train_3"]
    assert [metadata["subject_id"] for metadata in batch["metadata"]] == batch["task_ids"]


def test_pixel_values_are_none_when_no_row_of_the_batch_has_a_scan(dataset):
    batch = UMBRELLADataLoader.collate_fn([dataset[3]])
    assert batch["pixel_values"] is None
    assert batch["num_images"].tolist() == [0]
    assert torch.isfinite(load_model("tiny")(**batch).loss)


def test_its_batch_gives_the_loss_of_the_stock_collators_batch(dataset, json_dir, processor):
    """In the mean over tokens, so that the padding to max_length and the padding images are seen to count nothing."""
    rows = load_umbrella(json_dir, split="train")
    rows.set_transform(ConversationTransform(processor))
    stock = ConversationCollator(processor)([rows[i] for i in range(4)])
    guide = UMBRELLADataLoader.collate_fn([dataset[i] for i in range(4)])
    model = load_model("tiny").eval()
    with torch.no_grad():
        assert torch.allclose(model(**guide).loss, model(**stock).loss, rtol=1e-5)


def test_only_train_is_shuffled_and_drops_its_last_batch(json_dir, processor):
    loaders = create_umbrella_dataloaders(json_dir, processor.tokenizer, processor, batch_size=2, max_length=128)
    assert list(loaders) == ["train", "validation"]  # there is no test split
    assert isinstance(loaders["train"].sampler, RandomSampler)
    assert isinstance(loaders["validation"].sampler, SequentialSampler)
    assert [len(loaders["train"]), len(loaders["validation"])] == [2, 2]
    assert sum(len(batch["task_ids"]) for batch in loaders["validation"]) == 3


@pytest.mark.slow
def test_workers_give_the_same_rows(dataset):
    alone = list(dataset.create_dataloader(batch_size=2, shuffle=False, drop_last=False))
    shared = list(dataset.create_dataloader(batch_size=2, shuffle=False, drop_last=False, num_workers=2))
    assert [batch["task_ids"] for batch in alone] == [batch["task_ids"] for batch in shared]
    assert all(torch.equal(one["pixel_values"], two["pixel_values"]) for one, two in zip(alone, shared, strict=True))


def test_pinned_memory_without_a_gpu_is_silent(dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            next(iter(dataset.create_dataloader(batch_size=2, pin_memory=True)))


@pytest.mark.slow
def test_basic_training_loop_of_the_guide(json_dir):
    """Example 1: only input_ids, attention_mask, pixel_values and labels are handed to the model."""
    model, processor = load_model("tiny"), load_processor("tiny")
    dataloaders = create_umbrella_dataloaders(
        json_dir=json_dir, tokenizer=processor.tokenizer, processor=processor, batch_size=2, max_length=128
    )
    optimizer = AdamW(model.parameters(), lr=1e-3)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    model.train()
    losses = []
    for _ in range(4):
        total_loss = 0
        for batch in dataloaders["train"]:
            pixel_values = batch["pixel_values"].to(device) if batch["pixel_values"] is not None else None
            outputs = model(
                input_ids=batch["input_ids"].to(device),
                attention_mask=batch["attention_mask"].to(device),
                pixel_values=pixel_values,
                labels=batch["labels"].to(device),
            )
            total_loss += outputs.loss.item()
            optimizer.zero_grad()
            outputs.loss.backward()
            optimizer.step()
        losses.append(total_loss / len(dataloaders["train"]))
    assert losses[-1] < losses[0]
    model.eval()
    with torch.no_grad():  # the guide's validation loop hands the whole batch over
        assert all(torch.isfinite(model(**batch).loss) for batch in dataloaders["validation"])


@pytest.mark.slow
def test_stock_trainer_of_the_guide(json_dir, tmp_path):
    """Example 2: a stock Trainer, which removes the columns that the model does not name, trains and evaluates."""
    model, processor = load_model("tiny"), load_processor("tiny")
    train_dataset, val_dataset = (
        UMBRELLADataLoader(json_dir, split, processor.tokenizer, processor, max_length=128)
        for split in ("train", "validation")
    )
    training_args = TrainingArguments(
        output_dir=tmp_path,
        num_train_epochs=2,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=1,  # one of the batches is without a scan
        learning_rate=1e-3,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    assert training_args.remove_unused_columns
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer = Trainer(
        model=model,
        args=training_args,
        train_dataset=train_dataset,
        eval_dataset=val_dataset,
        data_collator=UMBRELLADataLoader.collate_fn,
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    for part in ("vision_tower", "multi_modal_projector", "language_model"):
        assert any(not torch.equal(before[n], w) for n, w in model.named_parameters() if part in n), part
    assert (tmp_path / f"checkpoint-{trainer.state.global_step}" / "model.safetensors").exists()


def test_views_and_prompts_reach_the_rows(json_dir, processor):
    slices = UMBRELLADataLoader(json_dir, processor=processor, max_length=256, view="slices:3")
    assert slices[1]["pixel_values"].shape == (3, 3, 64, 64)
    prompt = UMBRELLADataLoader(json_dir, processor=processor, max_length=128, add_generation_prompt=True)[1]
    text = processor.tokenizer.decode(prompt["input_ids"][prompt["attention_mask"].bool()])
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert (prompt["labels"] == -100).all()
    assert len(UMBRELLADataLoader(json_dir, processor=processor, task_types=["T3"])) == 5


def test_functions_of_the_guide_are_importable_from_here(json_dir):
    assert load_image(json_dir / "train_0_0.nii", modality="sMRI").shape == (9, 11, 7)
    assert format_conversation([{"role": "user", "content": "Hi"}]) == "<|im_start|>user Hi<|im_end|>"


def test_image_size_left_unset_is_the_processors_own_and_a_misfit_names_it(json_dir, processor):
    assert UMBRELLADataLoader(json_dir, processor=processor).image_size == 64
    assert UMBRELLADataLoader(json_dir, processor=processor, image_size=64).image_size == 64
    with pytest.raises(ValueError, match=r"image_size: expected 64.*found 224"):
        UMBRELLADataLoader(json_dir, processor=processor, image_size=224)
    with pytest.raises(ValueError, match=r"image_size: expected 64.*found 224"):
        create_umbrella_dataloaders(json_dir, processor=processor, image_size=224)


def test_scans_are_found_under_image_root(processor, tmp_path):
    text_only = write_folder(tmp_path / "text", {"train": [1]})
    (text_only / "train_0_0.nii").rename(tmp_path / "train_0_0.nii")
    row = UMBRELLADataLoader(text_only, processor=processor, image_root=tmp_path, max_length=128)[0]
    assert row["pixel_values"].shape == (1, 3, 64, 64)


def test_a_tokenizer_that_is_not_the_processors_is_refused(json_dir, processor):
    UMBRELLADataLoader(json_dir, tokenizer=build_tiny_tokenizer(), processor=processor)  # a second copy is the same
    other = build_tiny_tokenizer()
    other.add_tokens(["<scan>"])
    with pytest.raises(ValueError, match=r"tokenizer: expected the processor's own, .*601 tokens.*has 600"):
        UMBRELLADataLoader(json_dir, tokenizer=other, processor=processor)


@pytest.mark.parametrize("wrong", [None, build_tiny_tokenizer()])
def test_a_missing_processor_is_refused(json_dir, wrong):
    with pytest.raises(ValueError, match=r"processor: expected .*load_processor loads it"):
        UMBRELLADataLoader(json_dir, processor=wrong)


@pytest.mark.parametrize("name", ["llava_next", "llava_onevision", "idefics3", "smolvlm", "qwen2_5_vl", "gemma3"])
def test_processors_that_the_guides_batch_cannot_hold_are_refused(json_dir, name):
    with pytest.raises(ValueError, match=r"processor: expected two images .*ConversationCollator"):
        UMBRELLADataLoader(json_dir, processor=families.FAMILIES[name]())


def test_a_processor_of_volumes_is_refused_and_the_remedy_works(json_dir):
    processor = families.FAMILIES["volumes"]()
    with pytest.raises(ValueError, match=r"found VolumeProcessor, of whole volumes\. Load .*ConversationCollator"):
        UMBRELLADataLoader(json_dir, processor=processor)
    rows = load_umbrella(str(json_dir), split="train").with_transform(ConversationTransform(processor))
    batch = ConversationCollator(processor)([rows[0], rows[1]])
    model = build_model("volumes", processor)
    model.register_forward_pre_hook(flatten_arguments, with_kwargs=True)  # as load_model does
    assert torch.isfinite(model(**batch).loss)


@pytest.mark.parametrize("name", ["llava_1_5", "chatml"])
def test_processors_with_plain_images_are_taken(json_dir, name):
    row = UMBRELLADataLoader(json_dir, processor=families.FAMILIES[name](), max_length=512)[0]
    assert row["pixel_values"].shape[:2] == (2, 3)
    assert (row["labels"] != -100).any()


def test_fewer_rows_than_a_batch_is_an_error_not_an_empty_loop(dataset):
    with pytest.raises(ValueError, match=r"batch_size: expected at most 5, the rows of 'train' .*found 6"):
        dataset.create_dataloader(batch_size=6)
    assert len(dataset.create_dataloader(batch_size=6, drop_last=False)) == 1


def test_unknown_keywords_are_errors(json_dir, dataset, processor):
    with pytest.raises(TypeError, match="img_size"):
        UMBRELLADataLoader(json_dir, processor=processor, img_size=64)
    with pytest.raises(TypeError, match="img_size"):
        create_umbrella_dataloaders(json_dir, processor=processor, img_size=64)
    with pytest.raises(TypeError, match="batchsize"):
        dataset.create_dataloader(batchsize=2)


def test_a_missing_folder_or_split_is_named(json_dir, processor, tmp_path):
    with pytest.raises(FormatError, match="nowhere"):
        UMBRELLADataLoader(tmp_path / "nowhere", processor=processor)
    with pytest.raises(ValueError, match=r"split: expected one of train, validation, .*found 'test'"):
        UMBRELLADataLoader(json_dir, "test", processor=processor)


def test_a_row_that_does_not_load_names_its_file_and_nothing_takes_its_place(processor, tmp_path):
    json_dir = write_folder(tmp_path, {"train": [1, 1]})
    (json_dir / "train_1_0.nii").unlink()
    loader = UMBRELLADataLoader(json_dir, processor=processor, max_length=128).create_dataloader(2, shuffle=False)
    with pytest.raises(ScanError, match=r"train/train_1\.json.*train_1_0\.nii"):
        next(iter(loader))
    short = UMBRELLADataLoader(json_dir, processor=processor, max_length=20)
    with pytest.raises(ConversationError, match=r"train/train_0\.json.*max_length=20"):
        short[0]
