"""A conversation with a loaded model says what predict.py says, as it is written, to one asker after the other."""

from itertools import pairwise
from threading import Event, Thread

import predict
import pytest
from conversation_folder import write_scan
from loud_model import save_loud_model
from transformers import TextIteratorStreamer

import umbrella.answers.talking.talker as talking
from umbrella.answers.scoring import to_probabilities
from umbrella.answers.talking.conversation import Conversation, Question
from umbrella.answers.talking.opening import open_model
from umbrella.answers.talking.talker import CUT, STOPPED, WAITING, WHOLE, WRITING, Talker
from umbrella.answers.talking.together import answer_together
from umbrella.conversations.turns import ConversationTooLongError
from umbrella.options.arguments import ModelArguments
from umbrella.report.demo.arguments import DemoArguments

QUESTION = "Is this subject male or female?"
CANDIDATES = ("This subject is female.", "This subject is male.")
N_TOKENS = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three scans, and a model with weights so large that its answers depend on them, of another recipe than the
    default."""
    folder = tmp_path_factory.mktemp("talking")
    for number in range(3):
        write_scan(folder / f"{number}.nii", number)
    save_loud_model(folder / "run", view="coronal")
    return folder


def open_one(place, **options):
    asked = DemoArguments(max_new_tokens=N_TOKENS, **options)
    return Talker(open_model(ModelArguments(str(place / "run")), asked, CANDIDATES))


@pytest.fixture(scope="module")
def talker(place):
    talker = open_one(place)
    yield talker
    talker.close()


def about(place, number, text=QUESTION):
    return Question.about(text, str(place / f"{number}.nii"))


def say(talker, row, **options):
    """All replies to a row."""
    return list(talker.answer(row, Event(), **options))


def test_the_answer_is_that_of_predict_py_alone_and_after_a_reference(place, talker, call):
    alone = say(talker, Conversation().ask(about(place, 0)))[-1]
    after = Conversation().show_reference(str(place / "1.nii"), "sMRI", "male")
    compared = say(talker, after.ask(about(place, 0)))[-1]
    flags = ("--model_name_or_path", place / "run", "--image", place / "0.nii", "--question", QUESTION)
    reference = ("--reference", place / "1.nii", "--reference_label", "male")
    assert call(predict, *flags, "--max_new_tokens", N_TOKENS) == f"{alone.text}\n"
    assert call(predict, *flags, *reference, "--max_new_tokens", N_TOKENS) == f"{compared.text}\n"
    assert alone.text != compared.text


def test_an_answer_grows_and_ends_with_the_probabilities_of_the_labels(place, talker):
    row = Conversation().ask(about(place, 0))
    replies = say(talker, row)
    written = [reply.text for reply in replies if reply.state == WRITING]
    assert len(set(written)) > 2
    assert all(late.startswith(early) for early, late in pairwise(written))
    answerer, last = talker.opened.answerer, replies[-1]
    assert last.state in (WHOLE, CUT)
    assert last.text == answerer.answer_row(row).text
    assert last.probabilities == tuple(to_probabilities(answerer.score_row(row)))
    assert sum(last.probabilities) == pytest.approx(1)
    assert say(talker, row, with_probabilities=False)[-1].probabilities == ()


def test_later_turns_see_the_earlier_ones(place, talker):
    first = about(place, 0)
    answer = say(talker, Conversation().ask(first))[-1].text
    conversation = Conversation().add(first, answer)
    again = conversation.ask(Question.about("And its age?"))
    assert [turn["role"] for turn in again["conversations"]] == ["user", "assistant", "user", "assistant"]
    assert [scan["path"] for scan in again["images"]] == [str(place / "0.nii")]
    two = conversation.ask(about(place, 1, "And this one?"))
    assert [scan["path"] for scan in two["images"]] == [str(place / "0.nii"), str(place / "1.nii")]
    other = Conversation().add(about(place, 2), answer).ask(about(place, 1, "And this one?"))
    assert say(talker, two)[-1].text != say(talker, other)[-1].text


def test_a_row_s_own_question_is_asked_as_it_stands_or_with_other_words(place):
    items = [{"type": "image", "image_path": "a.nii", "modality": "sMRI", "text": None}]
    texts = [{"type": "text", "text": text, "modality": None, "image_path": None} for text in ("One.", "Two?")]
    turns = [{"role": role, "content": content} for role, content in (("user", [texts[0], *items, texts[1]]),)]
    row = {"conversations": [*turns, {"role": "assistant", "content": [texts[0]]}]}
    conversation, question = Conversation.of_row(row)
    assert conversation.turns == [] and question.text == "One.\nTwo?"
    assert question.reword("One.\nTwo?") is question
    changed = question.reword("Three?")
    assert [item["type"] for item in changed.items] == ["text", "image"] and changed.text == "Three?"


def test_an_answer_ends_where_it_is_stopped_or_left(place, talker, monkeypatch):
    row = Conversation().ask(about(place, 0))
    whole = say(talker, row)[-1].text
    stop, seen, last = Event(), Event(), None

    class Slow(TextIteratorStreamer):
        """Writes no word before the first one was seen."""

        def on_finalized_text(self, text, stream_end=False):
            super().on_finalized_text(text, stream_end)
            assert not text.strip() or seen.wait(60)

    monkeypatch.setattr(talking, "TextIteratorStreamer", Slow)
    for last in talker.answer(row, stop):
        if last.state == WRITING:
            stop.set()
            seen.set()
    monkeypatch.undo()
    assert last.state == STOPPED and last.is_answer and last.probabilities == ()
    assert whole.startswith(last.text) and len(last.text) < len(whole)
    left = talker.answer(row, Event())
    next(left)
    left.close()
    assert say(talker, row)[-1].text == whole  # the thread is free again
    gone = Event()
    gone.set()
    assert [reply.state for reply in talker.answer(row, gone)] == [STOPPED]


def test_a_full_context_is_an_error_of_its_own(place, talker, monkeypatch):
    monkeypatch.setattr(talker.opened.answerer.prompts, "max_length", 30)
    with pytest.raises(ConversationTooLongError, match=r"expected at most max_length=30 tokens, found \d+"):
        say(talker, Conversation().ask(about(place, 0)))
    monkeypatch.undo()
    assert say(talker, Conversation().ask(about(place, 0)))[-1].is_answer


def test_two_askers_are_answered_one_after_the_other_each_as_if_alone(place, talker):
    rows = [Conversation().ask(about(place, number)) for number in range(3)]
    alone = [say(talker, row)[-1].text for row in rows]
    free, found = Event(), {}
    talker.do_in_turn(free.wait)  # who asks now waits
    askers = [Thread(target=lambda n=n: found.update({n: say(talker, rows[n])})) for n in range(3)]
    for asker in askers:
        asker.start()
    free.set()
    for asker in askers:
        asker.join(timeout=120)
    assert [found[n][-1].text for n in range(3)] == alone
    assert len(set(alone)) == 3
    assert all(replies[0].state == WAITING and replies[0].n_before >= 1 for replies in found.values())


def test_two_models_answer_together_and_the_error_of_one_ends_both(place, talker, monkeypatch):
    other, row = open_one(place, max_length=2000), Conversation().ask(about(place, 0))
    expected = say(talker, row)[-1]
    *_, last = answer_together([talker, other], [row, row], Event())
    assert last == [expected, expected]
    monkeypatch.setattr(other.opened.answerer.prompts, "max_length", 30)
    stop = Event()
    with pytest.raises(ConversationTooLongError):
        list(answer_together([talker, other], [row, row], stop))
    assert stop.is_set()
    other.close()
