"""Labels and token ids, against what each model family's own processor returns."""

import jinja2
import numpy as np
import pytest
from families import (
    FAMILIES,
    QWEN2_5,
    VICUNA,
    build_chatml,
    build_llava,
    build_qwen2_5_vl,
    build_tokenizer,
    image_shape,
)
from transformers import LlavaProcessor, PreTrainedTokenizer

from umbrella.conversations.encoder import ConversationEncoder, ConversationError, format_conversation, to_messages
from umbrella.conversations.turns import drop_exchanges, split_exchanges

FLOAT_IMAGES = {"do_resize": False, "do_rescale": False, "do_normalize": False, "input_data_format": "channels_first"}
IMAGE = {"type": "image"}


def text(words):
    return {"type": "text", "text": words}


def user(*items):
    return {"role": "user", "content": [text(item) if isinstance(item, str) else item for item in items]}


def assistant(*words):
    return {"role": "assistant", "content": [text(w) for w in words]}


CONVERSATIONS = {
    "no scan": [user("Is anyone there?"), assistant("Yes.")],
    "one scan before the text": [user(IMAGE, "Male or female?"), assistant("The subject is female.")],
    "two scans in two turns": [
        user("This is the reference, who is male.", IMAGE),
        assistant("Understood."),
        user("And this one?", IMAGE),
        assistant("Most likely female."),
    ],
    "five scans before, between and after": [
        user(IMAGE, "first", IMAGE, IMAGE, "second", IMAGE),
        assistant("Four."),
        user("The last:", IMAGE),
        assistant("It is male."),
    ],
    "emoji, CJK and outer white space": [user("大脑 🧠 café?", IMAGE), assistant("  是的 🧠🧠 – 1.5 mm³, naïve  ")],
    "empty user text": [user(""), assistant("Nothing was asked."), user(IMAGE, ""), assistant("A scan.")],
    "an answer that looks like marks": [
        user("Say USER: and ASSISTANT:", IMAGE),
        assistant("ASSISTANT: as you like USER: <|im_end |> [INST] </s > <im_start>"),
        user("Again."),
        assistant("USER: ASSISTANT: ASSISTANT:"),
    ],
    "the same words asked and answered": [user("male"), assistant("male"), user("male male"), assistant("male")],
    "a system turn": [
        {"role": "system", "content": [text("Answer in one word.")]},
        user(IMAGE, "Sex?"),
        assistant("female"),
    ],
    "many lines": [user("a\n\nb\n", IMAGE), assistant("First line.\n\n- second: 12.5\n- third\n")],
}


def make_images(conversation, shape):
    n = sum(item["type"] == "image" for turn in conversation for item in turn["content"])
    return list(np.random.default_rng(0).random((n, *shape), dtype=np.float32))


def encode_with_own_processor(processor, conversation, images):
    """What transformers itself makes of the whole conversation."""
    options = FLOAT_IMAGES if images else {}
    if processor.chat_template is None:
        return processor(text=[format_conversation(conversation)], images=images or None, **options)
    queue = iter(images)
    messages = [
        {**turn, "content": [{**i, "image": next(queue)} if i["type"] == "image" else i for i in turn["content"]]}
        for turn in conversation
    ]
    return processor.apply_chat_template(messages, tokenize=True, return_dict=True, processor_kwargs=dict(options))


def supervised_runs(labels):
    """[(first position, ids)] of the unbroken runs of supervised tokens."""
    runs = []
    for i, label in enumerate(labels):
        if label == -100:
            continue
        if i == 0 or labels[i - 1] == -100:
            runs.append((i, []))
        runs[-1][1].append(label)
    return runs


@pytest.fixture(scope="module", params=[(f, k) for f in FAMILIES for k in ("bytelevel", "metaspace")], ids="-".join)
def family(request):
    name, kind = request.param
    processor = FAMILIES[name](kind)
    return processor, ConversationEncoder(processor, **FLOAT_IMAGES), image_shape(name)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_labels_are_each_answer_and_its_end_and_ids_are_the_processors_own(family, name):
    processor, encoder, shape = family
    conversation = CONVERSATIONS[name]
    images = make_images(conversation, shape)
    encoded = encoder.encode(conversation, images)
    end = processor.tokenizer.decode([encoder.end_token_id])

    answers = [" ".join(item["text"] for item in t["content"]) for t in conversation if t["role"] == "assistant"]
    runs = supervised_runs(encoded["labels"])
    decoded = [processor.tokenizer.decode(ids).removesuffix(end).strip() + end for _, ids in runs]
    assert decoded == [answer.strip() + end for answer in answers]
    assert all(ids[-1] == encoder.end_token_id for _, ids in runs)
    for start, ids in runs:
        assert encoded["input_ids"][start : start + len(ids)] == ids

    expected = encode_with_own_processor(processor, conversation, images)
    own = list(expected["input_ids"][0])
    if own != encoded["input_ids"]:  # a template without an end mark: eos is put behind each answer, and nothing else
        ends = {start + len(ids) - 1 for start, ids in runs}
        assert [token for i, token in enumerate(encoded["input_ids"]) if i not in ends] == own
        assert encoder.end_token_id == processor.tokenizer.eos_token_id
    else:
        for key in ("mm_token_type_ids", "token_type_ids"):
            if key in expected:
                assert encoded[key] == list(expected[key][0])
    assert {len(value) for value in encoded.values() if isinstance(value, list)} == {len(encoded["input_ids"])}
    if images:
        for ours, theirs in zip(encoded["pixel_values"], expected["pixel_values"], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_labels_end_with_eos_exactly_where_the_template_has_no_end_mark():
    inserts = {"llava_1_5": True, "llava_next": False, "qwen2_5_vl": False, "chatml": False, "gemma3": False}
    for name, expected in inserts.items():
        processor = FAMILIES[name]()
        conversation = CONVERSATIONS["two scans in two turns"]
        images = make_images(conversation, image_shape(name))
        ours = ConversationEncoder(processor, **FLOAT_IMAGES).encode(conversation, images)["input_ids"]
        theirs = encode_with_own_processor(processor, conversation, images)["input_ids"][0]
        assert len(ours) - len(theirs) == (2 if expected else 0), name


# Left out are two families whose own templates prompt otherwise than they write an answer: Qwen3 opens a given
# answer with a think block, LLaVA-OneVision writes "assistant \n" before one and prompts with "assistant\n".
@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in ("qwen3_vl", "llava_onevision")])
def test_labels_prompt_for_evaluation_is_what_training_showed_before_the_answer(name):
    processor = FAMILIES[name]()
    encoder = ConversationEncoder(processor, **FLOAT_IMAGES)
    conversation = CONVERSATIONS["two scans in two turns"]
    images = make_images(conversation, image_shape(name))
    trained = encoder.encode(conversation, images)
    prompt = encoder.encode(conversation, images, add_generation_prompt=True)
    last_answer = supervised_runs(trained["labels"])[-1][0]
    length = len(prompt["input_ids"])
    assert trained["input_ids"][:length] == prompt["input_ids"]
    between = processor.tokenizer.decode(trained["input_ids"][length:last_answer])
    assert between.strip() == ""
    assert set(prompt["labels"]) == {-100}


def test_labels_cover_several_text_items_of_one_turn():
    for build in FAMILIES.values():
        processor = build()
        encoder = ConversationEncoder(processor, **FLOAT_IMAGES)
        encoded = encoder.encode([user("Two?"), assistant("one", "two")], [])
        ((_, ids),) = supervised_runs(encoded["labels"])
        words = processor.tokenizer.decode(ids).replace(processor.tokenizer.decode([encoder.end_token_id]), "")
        assert words.replace("\n", "").replace(" ", "") == "onetwo"


def test_labels_leave_an_empty_assistant_turn_out():
    processor = build_qwen2_5_vl()
    encoded = ConversationEncoder(processor).encode([user("a"), assistant(""), user("b"), assistant("c")], [])
    assert [processor.tokenizer.decode(ids) for _, ids in supervised_runs(encoded["labels"])] == ["c<|im_end|>"]


@pytest.mark.parametrize("spelled", ["<image>", "</s>", "<s>"])
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_text_that_spells_a_control_token_is_refused(spelled, role):
    encoder = ConversationEncoder(build_llava())
    turns = [user("a"), assistant("b")]
    turns[["user", "assistant"].index(role)]["content"][0]["text"] = f"x {spelled} y"
    with pytest.raises(ConversationError, match=rf"found the control token '{spelled}' of LlavaProcessor"):
        encoder.encode(turns, [])


def test_text_may_spell_what_is_no_control_token_of_this_model():
    processor = build_qwen2_5_vl()  # its image token is <|image_pad|>
    encoded = ConversationEncoder(processor).encode([user("a"), assistant("an <image> tag")], [])
    assert processor.tokenizer.decode(supervised_runs(encoded["labels"])[0][1]) == "an <image> tag<|im_end|>"


def test_chatml_marks_are_refused_where_we_write_them():
    processor = build_chatml()
    with pytest.raises(ConversationError, match=r"<\|im_end\|>"):
        ConversationEncoder(processor).encode([user("a"), assistant("b<|im_end|><|im_start|>user c")], [])


@pytest.mark.parametrize(
    "rewrite, example",
    [("| upper", "b"), ("| replace('e', 'E')", "the end"), ("[:3]", "long answer"), ("| reverse", "abc")],
)
def test_template_that_rewrites_the_answer_is_refused(rewrite, example):
    template = QWEN2_5.replace("{{ c['text'] }}", "{{ (c['text'] " + rewrite + ") }}")
    with pytest.raises((ConversationError, jinja2.TemplateError), match="expected a chat template that writes each"):
        ConversationEncoder(build_llava(template=template)).encode([user("a"), assistant(example)], [])


def test_template_that_drops_a_turn_is_refused():
    template = VICUNA.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'assistant' %}")
    with pytest.raises(ConversationError, match="drops it"):
        ConversationEncoder(build_llava(template=template))


def test_slow_tokenizer_is_refused_by_name():
    class SlowTokenizer(PreTrainedTokenizer):
        vocab_size = 3

        def get_vocab(self):
            return {"a": 0, "<image>": 1, "<unk>": 2}

        def _tokenize(self, words):
            return list(words)

        def _convert_token_to_id(self, token):
            return self.get_vocab().get(token, 2)

        def _convert_id_to_token(self, index):
            return "a"

    processor = build_llava()
    processor.tokenizer = SlowTokenizer()
    with pytest.raises(ConversationError, match="slow SlowTokenizer"):
        ConversationEncoder(processor)


def test_tokenizer_without_the_image_token_is_refused():
    processor = build_llava()
    processor.tokenizer = build_tokenizer("metaspace", eos="</s>")
    with pytest.raises(ConversationError, match=r"image token '<image>' in the tokenizer's vocabulary, found none"):
        ConversationEncoder(processor)


def test_no_end_token_at_all_is_refused():
    processor = build_llava("bytelevel")
    processor.tokenizer.eos_token = None
    with pytest.raises(ConversationError, match="found neither"):
        ConversationEncoder(processor)


def test_another_number_of_scans_than_image_items_is_refused():
    encoder = ConversationEncoder(build_llava(), **FLOAT_IMAGES)
    with pytest.raises(ConversationError, match="expected 1 scans, as many as the turns have image items; found 0"):
        encoder.encode(CONVERSATIONS["one scan before the text"], [])


def test_template_that_leaves_images_out_is_refused():
    template = VICUNA.replace("{{ '<image>\n' }}", "")
    encoder = ConversationEncoder(build_llava(template=template), **FLOAT_IMAGES)
    conversation = CONVERSATIONS["one scan before the text"]
    with pytest.raises(ConversationError, match="LlavaProcessor refuses the conversation"):
        encoder.encode(conversation, make_images(conversation, (3, 32, 32)))


def test_overflow_drops_the_oldest_whole_exchanges_with_their_scans(family):
    _, encoder, shape = family
    conversation = CONVERSATIONS["two scans in two turns"]
    images = make_images(conversation, shape)
    whole = encoder.encode(conversation, images)
    last = encoder.encode(conversation[2:], images[1:])
    for max_length in (len(whole["input_ids"]), len(whole["input_ids"]) - 1, len(last["input_ids"])):
        kept = encoder.encode_within(conversation, images, max_length, "drop_turns")
        expected = whole if max_length == len(whole["input_ids"]) else last
        assert kept["input_ids"] == expected["input_ids"]
        assert kept["labels"] == expected["labels"]
        np.testing.assert_array_equal(kept["pixel_values"], expected["pixel_values"])


def test_overflow_of_the_last_exchange_is_an_error_that_names_the_length_it_needs(family):
    _, encoder, shape = family
    conversation = CONVERSATIONS["two scans in two turns"]
    images = make_images(conversation, shape)
    needed = len(encoder.encode(conversation[2:], images[1:])["input_ids"])
    with pytest.raises(ConversationError, match=rf"the last exchange alone .* Set --max_length to {needed} or more"):
        encoder.encode_within(conversation, images, needed - 1, "drop_turns")


def test_overflow_raises_when_asked_to():
    encoder = ConversationEncoder(build_llava(), **FLOAT_IMAGES)
    conversation = CONVERSATIONS["two scans in two turns"]
    images = make_images(conversation, (3, 32, 32))
    needed = len(encoder.encode(conversation, images)["input_ids"])
    assert len(encoder.encode_within(conversation, images, needed, "raise")["input_ids"]) == needed
    with pytest.raises(ConversationError, match=f"max_length={needed - 1} tokens, found {needed} in the conversation"):
        encoder.encode_within(conversation, images, needed - 1, "raise")


def test_dropping_keeps_the_system_turn_and_whole_exchanges():
    system = {"role": "system", "content": [text("s")]}
    turns = [system, user("1"), user("2"), assistant("a"), assistant("b"), user("3"), assistant("c")]
    exchanges = split_exchanges(turns)
    assert exchanges == [turns[:5], turns[5:]]
    assert drop_exchanges(exchanges, 0) == turns
    assert drop_exchanges(exchanges, 1) == [system, user("3"), assistant("c")]
    assert split_exchanges([assistant("greeting"), *turns[5:]]) == [[assistant("greeting")], turns[5:]]


def test_format_conversation_writes_the_specifications_chatml():
    turns = [user("Compare this scan.", IMAGE), assistant("It is male.")]
    expected = "<|im_start|>user Compare this scan.\n<image><|im_end|><|im_start|>assistant It is male.<|im_end|>"
    assert format_conversation(turns) == expected
    assert format_conversation(turns[:1], add_generation_prompt=True).endswith(
        "<image><|im_end|><|im_start|>assistant "
    )


def test_string_content_is_one_text_item():
    assert to_messages([{"role": "user", "content": "hi"}]) == [user("hi")]
    assert format_conversation([{"role": "user", "content": "hi"}]) == "<|im_start|>user hi<|im_end|>"


def test_processor_object_is_not_changed_by_encoding():
    processor = build_llava()
    assert isinstance(processor, LlavaProcessor)
    before = processor.to_dict()
    encoder = ConversationEncoder(processor, **FLOAT_IMAGES)
    conversation = CONVERSATIONS["two scans in two turns"]
    encoder.encode(conversation, make_images(conversation, (3, 32, 32)))
    assert processor.to_dict() == before
