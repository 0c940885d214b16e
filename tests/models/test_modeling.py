"""Claims about loading: the guide's batch gives what the stock batch gives, stock ones pass, misfits are refused."""

import copy
import io

import pytest
import torch
import transformers
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from umbrella.models.guide_batch import flatten_batch, takes_plain_images
from umbrella.models.loading import check_fits, load_model, load_processor
from umbrella.models.tiny_llava import build_tiny_llava, build_tiny_processor, build_tiny_tokenizer

IMAGE, IMAGE_TOKENS = 3, 16  # the tiny model's image token, and how many of them an image has


@pytest.fixture(scope="module")
def model():
    return load_model("tiny")


@pytest.fixture(scope="module")
def stock_model():
    return build_tiny_llava()[0].eval()


def make_rows(counts, length=64, seed=0):
    """Text rows with counts[i] images each, tensors (B, length), and the images of all rows (sum, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(10, 600, (len(counts), length), generator=generator)
    for row, count in enumerate(counts):
        input_ids[row, 2 : 2 + count * IMAGE_TOKENS] = IMAGE
    labels = torch.where(input_ids == IMAGE, -100, input_ids)
    images = torch.randn(sum(counts), 3, 64, 64, generator=generator)
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}, images


def make_guide_batch(counts, with_counts=True):
    """The guide's batch and the stock batch of the same rows; padding images hold a value that must not be seen."""
    text, images = make_rows(counts)
    padded = torch.full((len(counts), max(counts), 3, 64, 64), float("nan"))
    for row, own in enumerate(images.split(counts)):
        padded[row, : counts[row]] = own
    guide = {
        **text,
        "pixel_values": padded,
        "metadata": [{"task": "T3"}] * len(counts),
        "task_ids": ["a"] * len(counts),
    }
    if with_counts:
        guide["num_images"] = torch.tensor(counts)
    return guide, {**text, "pixel_values": images}


@pytest.mark.parametrize("counts", [[1, 1], [2, 1], [1, 0, 3], [0, 2]])
@pytest.mark.parametrize("with_counts", [True, False])
def test_loss_and_gradients_of_the_guide_batch_equal_those_of_the_stock_batch(model, stock_model, counts, with_counts):
    guide, stock = make_guide_batch(counts, with_counts)
    losses = []
    for each, batch in ((model, guide), (stock_model, stock)):
        each.zero_grad()
        loss = each.train()(**batch).loss
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1]
    for one, other in zip(model.parameters(), stock_model.parameters(), strict=True):
        assert (one.grad is None and other.grad is None) or torch.equal(one.grad, other.grad)
    with torch.no_grad():
        assert model.eval()(**guide).loss.item() == pytest.approx(losses[0], rel=1e-6)


def test_positional_input_ids_serve_too(model):
    guide, _ = make_guide_batch([2, 1])
    expected = model(**guide).loss
    found = model(guide["input_ids"], pixel_values=guide["pixel_values"], labels=guide["labels"]).loss
    assert torch.allclose(found, expected)


def test_a_batch_without_scans_needs_no_pixel_values(model, stock_model):
    text, _ = make_rows([0, 0])
    batch = {**text, "pixel_values": None, "metadata": [{}, {}], "task_ids": ["a", "b"], "num_images": torch.zeros(2)}
    assert torch.equal(model.eval()(**batch).loss, stock_model.eval()(**text).loss)


def test_a_stock_batch_passes_unchanged(model, stock_model):
    _, stock = make_guide_batch([2, 1])
    assert torch.equal(model.eval()(**stock).loss, stock_model.eval()(**stock).loss)


def test_flatten_batch_serves_a_stock_model_and_leaves_its_input_alone(stock_model):
    guide, stock = make_guide_batch([2, 0, 1])
    shape = guide["pixel_values"].shape
    flat = flatten_batch(guide)
    assert set(flat) == {"input_ids", "attention_mask", "labels", "pixel_values"}
    assert torch.equal(flat["pixel_values"], stock["pixel_values"])
    assert torch.equal(flatten_batch(stock)["pixel_values"], stock["pixel_values"])
    assert guide["pixel_values"].shape == shape
    assert "metadata" in guide
    assert torch.isfinite(stock_model(**flat).loss)
    assert "pixel_values" not in flatten_batch({**guide, "pixel_values": None})


def test_padding_images_that_cannot_be_told_are_an_error_not_a_guess(model):
    guide, _ = make_guide_batch([2, 1, 1], with_counts=False)
    with pytest.raises(ValueError, match="pass image_token_id=model"):
        flatten_batch(guide)
    guide["input_ids"][1, 2] = 7  # an image token less
    with pytest.raises(ValueError, match=r"found \[32, 15, 16\] a row for 3 rows of 2 images"):
        model(**guide)
    part, _ = make_guide_batch([2, 1, 1], with_counts=False)
    part = {name: value[1:] for name, value in part.items()}  # all that is left has a padding image
    with pytest.raises(ValueError, match="do not match"):
        model(**part)
    with pytest.raises(ValueError, match=r"expected 2 counts of at most 2.*found \[1, 3\]"):
        model(**part, num_images=torch.tensor([1, 3]))


def test_the_hook_survives_copying_and_pickling_and_is_not_saved(model, tmp_path):
    guide, stock = make_guide_batch([2, 1])
    expected = model.eval()(**guide).loss
    assert torch.equal(copy.deepcopy(model)(**guide).loss, expected)
    file = io.BytesIO()
    torch.save(load_model("tiny"), file)  # one that has not run: transformers itself cannot pickle one that has
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(**guide).loss, expected)
    model.save_pretrained(tmp_path)
    stock_again = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert torch.equal(stock_again(**stock).loss, expected)
    assert not stock_again._forward_pre_hooks
    assert torch.equal(load_model(tmp_path)(**guide).loss, expected)


def test_data_parallel_wrapper_takes_the_guide_batch(model, tmp_path):
    """In one process of a group: DistributedDataParallel calls the model, and with it the hook."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        guide, _ = make_guide_batch([2, 1])
        wrapped = torch.nn.parallel.DistributedDataParallel(copy.deepcopy(model).train())
        loss = wrapped(**guide).loss
        loss.backward()
        assert torch.allclose(loss, model(**guide).loss)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("LlavaForConditionalGeneration", True),
        ("VipLlavaForConditionalGeneration", True),
        ("PaliGemmaForConditionalGeneration", True),
        ("Gemma3ForConditionalGeneration", True),
        ("InternVLForConditionalGeneration", True),
        ("LlavaNextForConditionalGeneration", False),
        ("LlavaOnevisionForConditionalGeneration", False),
        ("Idefics3ForConditionalGeneration", False),
        ("SmolVLMForConditionalGeneration", False),
        ("Qwen2_5_VLForConditionalGeneration", False),
        ("MllamaForConditionalGeneration", False),
    ],
)
def test_models_that_need_more_than_plain_images_are_told_by_their_interface(name, plain):
    assert takes_plain_images(getattr(transformers, name)) is plain


def test_five_dimensions_of_the_models_own_are_left_alone(tmp_path):
    """Idefics3 takes (1, images, 3, H, W) itself: the hook must not flatten it, and must refuse the guide's batch."""
    config = transformers.Idefics3Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "pad_token_id": 0,
        },
        image_token_id=3,
        scale_factor=2,
    )
    stock = transformers.Idefics3ForConditionalGeneration(config).eval()
    stock.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    input_ids = torch.tensor([[5, 3, 3, 3, 3, 3, 3, 3, 3, 6]])  # two images of 4 tokens
    batch = {"input_ids": input_ids, "labels": input_ids, "pixel_values": torch.rand(1, 2, 3, 32, 32)}
    assert torch.equal(model(**batch).loss, stock(**batch).loss)
    with pytest.raises(ValueError, match=r"Idefics3ForConditionalGeneration needs more.*ConversationCollator"):
        model(**batch, num_images=torch.tensor([2]))


def test_volumes_for_a_three_dimensional_tower_are_left_alone(monkeypatch):
    """(volumes, channels, X, Y, Z) has five dimensions too; a stand-in for the tower notes what it is given."""
    model, shapes = load_model("tiny"), []

    def encode(pixel_values, **kwargs):
        shapes.append(tuple(pixel_values.shape))
        return BaseModelOutputWithPooling(pooler_output=[torch.zeros(IMAGE_TOKENS, 128)] * len(pixel_values))

    monkeypatch.setattr(model.model, "get_image_features", encode)
    text, _ = make_rows([1, 1])
    model(**text, pixel_values=torch.zeros(2, 1, 8, 9, 10))
    assert shapes == [(2, 1, 8, 9, 10)]


def test_keyword_arguments_of_from_pretrained_reach_tiny_too():
    model = load_model("tiny", dtype=torch.bfloat16, attn_implementation="eager")
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"
    assert model.name_or_path == "tiny"
    assert torch.isfinite(model(**make_guide_batch([2, 1])[0]).loss)
    assert load_processor("tiny", padding_side="left").tokenizer.padding_side == "left"
    with pytest.raises(TypeError, match="colour"):
        load_model("tiny", colour="blue")


def test_seed_reaches_the_weights_and_model_and_processor_of_one_name_fit():
    one, same, other = (next(load_model("tiny", seed=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    check_fits(load_model("tiny"), load_processor("tiny"))


@pytest.mark.parametrize("load", [load_model, load_processor])
def test_a_missing_folder_is_named_in_one_sentence(load, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found no folder '.*/nowhere'") as error:
        load(tmp_path / "nowhere")
    assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"found no folder 'runs/quickstart/model'"):
        load("runs/quickstart/model")
    with pytest.raises(OSError, match="does not load") as error:
        load(tmp_path)  # an empty folder
    assert "\n" not in str(error.value)


def test_a_model_that_reads_no_images_is_refused(tmp_path):
    build_tiny_tokenizer().save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises((ValueError, OSError), match="model_name_or_path: expected"):
        load_processor(tmp_path)


def test_token_ids_beyond_the_embedding_are_refused(model):
    processor = load_processor("tiny")
    processor.tokenizer.add_tokens(["<scan>"])
    with pytest.raises(ValueError, match=r"expected token ids below 600.*found 600 \('<scan>'\).*embeddings\(601\)"):
        check_fits(model, processor)


def test_a_processor_with_another_image_token_is_refused(model):
    processor = load_processor("tiny")
    processor.image_token_id = 4
    with pytest.raises(ValueError, match="expected image token 3, as the model has it, found 4"):
        check_fits(model, processor)
    with torch.device("meta"):
        captioner = transformers.GitForCausalLM(transformers.GitConfig())
    with pytest.raises(ValueError, match="GitForCausalLM names no image_token_id"):
        check_fits(captioner, processor)


def test_an_image_size_that_the_tower_does_not_take_is_refused_with_the_right_one(model):
    with pytest.raises(ValueError, match=r"image_size: expected 64, .*found 32"):
        check_fits(model, build_tiny_processor(image_size=32))
    with pytest.raises(ValueError, match=r"image_size: expected 64, .*found 224"):
        check_fits(model, load_processor("tiny"), image_size=224)


def test_the_base_of_a_whole_model_is_refused():
    with pytest.raises(ValueError, match=r"--base_model elsewhere: .* found tiny, a whole model, which has no base"):
        load_model("tiny", base_model="elsewhere")
