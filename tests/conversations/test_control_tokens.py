"""No text of a conversation becomes a control token, alone, beside another text or beside a mark of the template."""

from itertools import pairwise

import pytest
from datasets import Dataset
from families import FAMILIES, QWEN_SPECIALS, build_chatml, build_llava, build_qwen3_vl, build_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers

from umbrella.conversations.control_tokens import ControlTokens
from umbrella.conversations.encoder import ConversationEncoder, ConversationError
from umbrella.training.preflight import check_texts

IMAGE = {"type": "image"}


def text(words):
    return {"type": "text", "text": words}


def user(*items):
    return {"role": "user", "content": [text(item) if isinstance(item, str) else item for item in items]}


def assistant(*words):
    return {"role": "assistant", "content": [text(word) for word in words]}


def control_tokens(processor):
    """As the tokenizer and the processor name them."""
    special = {t.content for t in processor.tokenizer.added_tokens_decoder.values() if t.special}
    return sorted(special | set(processor.all_special_multimodal_tokens))


def list_splits(token):
    """The conversations in which the token's two parts are put side by side, by form."""
    for i in range(1, len(token)):
        first, second = token[:i], token[i:]
        yield [user(first, second), assistant("yes")]
        yield [user("word"), assistant(first, second)]
        yield [user(first, " ", second), assistant("yes")]
        yield [user(first, "", second + "\n"), assistant("yes")]
        yield [user(first), assistant(second)]
        yield [user("word"), assistant(first), user(second), assistant("yes")]
        yield [user(first, IMAGE, second), assistant("yes")]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    processor = FAMILIES[request.param]()
    return processor, ConversationEncoder(processor)


def rendered_ids(processor, encoder, turns):
    """What the processor's own template and tokenizer make of a conversation, each scan one placeholder."""
    return processor.tokenizer(encoder._apply_template(turns, False), add_special_tokens=False)["input_ids"]


def test_split_control_tokens_are_refused_or_stay_text(family):
    processor, encoder = family
    specials = control_tokens(processor)
    ids = set(processor.tokenizer.convert_tokens_to_ids(specials)) - {processor.tokenizer.unk_token_id}
    for token in [t for t in specials if not t.startswith("<row_") or t == "<row_1_col_1>"]:
        for turns in list_splits(token):
            made = [i for i in rendered_ids(processor, encoder, turns) if i in ids]
            harmless = [
                {**turn, "content": [text("word") if i.get("text", "").strip() else i for i in turn["content"]]}
                for turn in turns
            ]
            if made == [i for i in rendered_ids(processor, encoder, harmless) if i in ids]:
                encoder.check_text(turns)
            else:
                with pytest.raises(ConversationError, match="expected texts, found that together they make"):
                    encoder.check_text(turns)


def test_control_tokens_in_many_parts_are_refused_or_stay_text(family):
    processor, encoder = family
    specials = control_tokens(processor)
    ids = set(processor.tokenizer.convert_tokens_to_ids(specials)) - {processor.tokenizer.unk_token_id}

    @settings(max_examples=15)
    @given(st.sampled_from(specials), st.lists(st.integers(1, 20), max_size=4), st.data())
    def check(token, cuts, data):
        places = sorted({0, *(min(cut, len(token)) for cut in cuts), len(token)})
        parts = [token[a:b] for a, b in pairwise(places)]
        roles = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
        turns = [user("word"), assistant("yes")]
        for part, goes_on in zip(parts, roles, strict=True):
            if goes_on:
                turns[-1]["content"].append(text(part))
            else:
                turns.append(user(part) if turns[-1]["role"] == "assistant" else assistant(part))
        try:
            encoded = encoder.encode(turns)
        except ConversationError:
            return
        made = [i for i in encoded["input_ids"] if i in ids]
        harmless = [{**turn, "content": [text("word") for _ in turn["content"]]} for turn in turns]
        assert made == [i for i in encoder.encode(harmless)["input_ids"] if i in ids]

    check()


def test_a_template_that_joins_by_nothing_lets_no_image_token_through():
    encoder = ConversationEncoder(FAMILIES["idefics3"]())
    message = r"conversations: .* the control token '<image>' of Idefics3Processor in the prompt \('.*<image>.*'\)"
    with pytest.raises(ConversationError, match=message):
        encoder.encode([user("<ima", "ge>"), assistant("yes")])


def test_the_row_with_a_split_token_is_named():
    encoder = ConversationEncoder(FAMILIES["idefics3"]())
    rows = {"conversations": [[user("a"), assistant("b")], [user("<ima", "ge>"), assistant("b")]]}
    with pytest.raises(ConversationError, match=r"^train/x\.jsonl:2: conversations: .* '<image>'"):
        check_texts(Dataset.from_dict(rows | {"source": ["train/x.jsonl:1", "train/x.jsonl:2"]}), encoder)


def test_ordinary_text_is_not_refused(family):
    processor, encoder = family
    specials, signs = control_tokens(processor), st.sampled_from("<>|/[]{}_-imags end\nüß大🧠１＜")

    @settings(max_examples=10, deadline=None)
    @given(st.lists(st.text(signs, max_size=12), min_size=1, max_size=4))
    def check(words):
        joined = "".join(word.strip() for word in words)
        if not any(token in joined or token in "".join(words) for token in specials):
            encoder.check_text([user(*words), assistant("yes"), user(IMAGE, *words), assistant(*words, "x")])

    check()


def test_a_token_that_the_normalizer_makes_is_refused():
    processor = build_llava("bytelevel")
    backend = processor.tokenizer.backend_tokenizer
    backend.normalizer = normalizers.NFKC()
    backend.add_tokens([AddedToken("<mark>", normalized=True, special=True)])
    encoder = ConversationEncoder(processor)
    encoder.check_text([user("1 ＜ 2"), assistant("yes")])
    with pytest.raises(ConversationError, match="control token '<mark>'"):
        encoder.check_text([user("＜mark＞"), assistant("yes")])


def test_role_marks_count_though_they_are_not_flagged_as_special_and_other_added_tokens_do_not():
    template = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}"
    )
    processor = build_llava(
        "bytelevel", template + "</s>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    processor.tokenizer.add_tokens(["<|user|>", "<|assistant|>", "<loc0001>"])
    tokens = ControlTokens(processor, ConversationEncoder(processor)._apply_template)
    tokens.check([user("at <loc0001>"), assistant("<|system|>")])
    for spelled in (["x<|user|>"], ["x<|us", "er|>"]):
        with pytest.raises(ConversationError, match=r"control token '<\|user\|>'"):
            tokens.check([user(*spelled), assistant("yes")])


def test_chatml_marks_of_our_own_are_refused_also_where_they_are_no_tokens():
    processor = build_chatml()
    with pytest.raises(ConversationError, match="control token"):
        ConversationEncoder(processor).check_text([user("<|im_start|>system"), assistant("yes")])


def test_a_thought_is_text_where_the_tokenizer_does_not_flag_its_marks_as_special():
    answer = "<think>\n\n</think>\n\nyes"
    with pytest.raises(ConversationError, match="control token '<think>'"):
        ConversationEncoder(build_qwen3_vl()).check_text([user("<thi", "nk>"), assistant("yes")])
    processor = build_qwen3_vl()
    processor.tokenizer = build_tokenizer("bytelevel", QWEN_SPECIALS)
    processor.tokenizer.add_tokens(["<think>", "</think>"])
    ConversationEncoder(processor).check_text([user("Sex?"), assistant(answer), user("Sure?"), assistant(answer)])
