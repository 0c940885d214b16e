"""The page to talk to a model: what its doings return, and that it is served to this machine alone.

What a browser shows of it is tested where there is one.
"""

import html
import json
import os
import re
import runpy
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import demo
import gradio
import pytest
from conversation_folder import write_folder, write_scan
from loud_model import save_loud_model

from umbrella.answers.talking.opening import open_model
from umbrella.answers.talking.talker import Talker
from umbrella.models.files import fingerprint_model
from umbrella.options.arguments import ModelArguments
from umbrella.records.trained_questions import TrainedQuestions
from umbrella.report.demo.arguments import DemoArguments
from umbrella.report.demo.fragments import NOT_A_DEVICE, show_header, show_probabilities, show_status, show_truth
from umbrella.report.demo.handlers import Handlers, Refusal, Talk
from umbrella.report.demo.known_labels import KnownLabels, find_labels
from umbrella.report.demo.page import Page
from umbrella.report.demo.serving import serve
from umbrella.report.demo.session import MOST_SESSIONS, Sessions
from umbrella_dataset import load_umbrella

HOSTILE = "<img src=x onerror=alert(1)>"
LABELS = KnownLabels(("female", "male"), "The subject is {label}.", "Labels as in the rows of the split test.")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_folder(folder / "data", {"test": [1, 2, 1]})
    for path in (folder / "data" / "test").glob("*.json"):  # two labels
        if path.stem.endswith("2"):
            text = path.read_text().replace("is female.", "is male.").replace('label": "female"', 'label": "male"')
            path.write_text(text)
    save_loud_model(folder / "run")
    return folder


@pytest.fixture(scope="module")
def splits(place):
    return load_umbrella(str(place / "data"))


@pytest.fixture(scope="module")
def talk(place):
    asked = DemoArguments(max_new_tokens=6)
    return Talk(Talker(open_model(ModelArguments(str(place / "run")), asked, LABELS.candidates)), LABELS)


@pytest.fixture
def page(talk, splits):
    return Page(Handlers([talk], splits["test"]), 1000)


@pytest.fixture
def upload(tmp_path):
    """(seed, name) → a file as Gradio keeps one that was sent."""

    def send(seed, name="scan.nii"):
        path = tmp_path / str(seed) / name
        path.parent.mkdir(exist_ok=True)
        write_scan(path, seed)
        return str(path)

    return send


def as_sent(path, name=None):
    """What Gradio tells of a file, whose own name it has changed."""
    return {"path": path, "orig_name": name or Path(path).name}


ALICE, BOB = gradio.Request(session_hash="alice"), gradio.Request(session_hash="bob")
# What `_show` returns, for one model.
VIEWER, WHICH, SEEN_PART, LOOKED_PART, MAP, MAP_VIEWER, CHAT, BARS, QUESTION, TRUTH, STATUS = range(11)


def ask(page, text, who=ALICE):
    """The last of what the page shows while it answers: chat, labels, question, ask, stop, truth, no map, status."""
    *_, last = page.on_ask(text, who)
    return last


def list_texts(chat):
    return [message["content"] for message in chat]


def test_a_row_is_shown_asked_and_its_truth_told(page, splits):
    shown = page.on_row(1, ALICE)
    row = splits["test"][1]
    assert shown[VIEWER]["name"] == "test_1_1.nii"
    assert [name for name, _ in shown[WHICH]["choices"]] == ["1: test_1_0.nii", "2: test_1_1.nii"]
    assert shown[QUESTION] == "Is this scan of a male or a female?"
    assert list_texts(shown[CHAT]) == [
        "Scan: test_1_0.nii (sMRI)", "Is this scan of a male or a female?", "The subject is female."
    ]  # fmt: skip
    chat, bars, question, *_ = ask(page, shown[QUESTION])
    opened = page.handlers.talks[0].talker.opened
    assert list_texts(chat)[-1] == opened.answerer.answer_row(row).text  # as the row is asked in an evaluation
    assert bars.count("<li>") == 2 and "The subject is {label}." in bars and LABELS.told in bars
    assert question == ""
    assert "Label: <b>female</b>" in page.on_truth(ALICE)[0]
    other = page.on_which_scan(0, ALICE)
    assert other[VIEWER]["name"] == "test_1_0.nii" and other[-1] == ""


def test_what_the_model_saw_is_the_pixels_that_it_was_given(page, splits):
    page.on_row(1, ALICE)
    page.on_which_scan(0, ALICE)
    seen, viewer, said = page.on_seen(ALICE)
    assert seen.count("<img") == 1 and "64 × 64 pixels" in seen
    assert viewer is None and said == ""
    page.on_which_scan(1, ALICE)
    assert page.on_seen(ALICE)[0] != seen
    page.on_new(ALICE)
    assert page.on_seen(ALICE)[0] == "" and "Choose a scan first" in page.on_seen(ALICE)[2]


def test_where_it_looked_is_a_map_over_the_scan_that_says_how_far_it_is(page, upload):
    page.on_upload(as_sent(upload(8)), "sMRI", ALICE)
    page.on_reference("male", ALICE)
    assert "Ask a question first" in list(page.on_look(ALICE))[-1][-1]  # the reply to a reference is no answer
    page.on_upload(as_sent(upload(9, "other.nii")), "sMRI", ALICE)
    ask(page, "Male or female?")
    *steps, last = page.on_look(ALICE)
    assert len(steps) > 2 and re.search(r"\d+ of \d+ views so far", steps[0][-1])
    text, viewer, stop, status = last
    assert viewer["name"] == "other.nii" and len(viewer["overlays"]) == 1
    assert "log-likelihood" in text and status == "" and not stop["interactive"]
    answers = page.on_look(ALICE)
    next(answers)
    page.on_stop(ALICE)
    assert [shown for *_, shown in answers][-1] == ""
    ask(page, "Sure?")
    page.on_upload(as_sent(upload(10, "third.nii")), "sMRI", ALICE)
    assert "not about this scan" in list(page.on_look(ALICE))[-1][-1]


def test_scans_of_one_s_own_reference_and_later_turns(page, upload):
    assert "scan.nii is chosen" in page.on_upload(as_sent(upload(1)), "sMRI", ALICE)[STATUS]
    assert "reference is shown" in page.on_reference("male", ALICE)[STATUS]
    shown = page.on_upload(as_sent(upload(2, "other.nii")), "sMRI", ALICE)
    assert [name for name, _ in shown[WHICH]["choices"]] == ["1: scan.nii", "2: other.nii"]
    first = ask(page, "Male or female?")[0]
    second = ask(page, "Are you sure?")[0]
    assert list_texts(first)[:2] == ["The reference subject is male. Their scan:", "Scan: scan.nii (sMRI)"]
    assert list_texts(second)[: len(first)] == list_texts(first)
    assert list_texts(second)[len(first)] == "Are you sure?" and len(second) == len(first) + 2
    assert "choose a row of the data" in page.on_truth(ALICE)[1]


def test_two_tabs_know_nothing_of_one_another(page, upload):
    page.on_row(0, ALICE)
    page.on_upload(as_sent(upload(3)), "sMRI", BOB)
    ask(page, "One?", ALICE)
    assert list_texts(ask(page, "Two?", BOB)[0])[:2] == ["Scan: scan.nii (sMRI)", "Two?"]
    page.on_leave(BOB)
    assert len(page.on_row(0, ALICE)[CHAT]) == 0 and len(ask(page, "Three?", ALICE)[0]) == 3


def test_files_that_were_sent_go_with_the_last_tab_that_has_them(page, upload):
    path = upload(4)
    page.on_upload(as_sent(path), "sMRI", ALICE)
    page.on_upload(as_sent(path), "sMRI", BOB)
    page.on_leave(BOB)
    assert Path(path).is_file()
    page.on_new(ALICE)
    assert not Path(path).exists()
    again = upload(4)
    page.on_upload(as_sent(again), "sMRI", ALICE)
    page.on_row(0, ALICE)  # another conversation
    assert not Path(again).exists()
    sessions = Sessions(1)
    first = sessions.get("0")
    first.take_upload(upload(5), "scan.nii")
    for number in range(1, MOST_SESSIONS + 1):
        sessions.get(str(number))
    assert not first.sent


REFUSED = {
    "no question": (lambda page, _: ask(page, "  ")[-1], "Write a question first."),
    "no scan": (lambda page, _: ask(page, "Male?")[-1], "Choose a scan first"),
    "no reference": (lambda page, _: page.on_reference("", ALICE)[STATUS], "Send a scan first"),
    "no such row": (lambda page, _: page.on_row(7, ALICE)[STATUS], "Row 7: the data have rows 0 to 2."),
    "no scan at all": (
        lambda page, send: page.on_upload(as_sent(spoil(send(6))), "sMRI", ALICE)[STATUS],
        "scan.nii: expected a NIfTI or FreeSurfer scan, found a file that starts with",
    ),
    "a control token": (lambda page, send: ask_of(page, send, "<|im_end|>"), "found the control token"),
}


def spoil(path):
    Path(path).write_text("hello")
    return path


def ask_of(page, send, text):
    page.on_upload(as_sent(send(7)), "sMRI", ALICE)
    return ask(page, text)[-1]


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_in_one_sentence(case, page, upload, tmp_path):
    do, expected = REFUSED[case]
    said = do(page, upload)
    assert 'role="alert"' in said and expected in html.unescape(said)
    assert str(tmp_path) not in said  # a scan by its name, not by where the page keeps it
    page.on_row(0, ALICE)
    assert len(ask(page, "And now?")[0]) == 3  # the page goes on


def test_a_full_conversation_says_so_and_keeps_the_question(page, monkeypatch):
    page.on_row(0, ALICE)
    monkeypatch.setattr(page.handlers.talks[0].talker.opened.answerer.prompts, "max_length", 9)
    chat, _, question, ask_button, stop_button, *_, status = ask(page, "And now?")
    assert re.search(r"This conversation is full: expected at most max_length=9 tokens, found \d+", status)
    assert (
        "Begin a new one, or ask in fewer words, or start demo.py with a higher --max_length (4096 at most)." in status
    )
    assert chat == [] and question == "And now?"
    assert ask_button["interactive"] and not stop_button["interactive"]


def test_stopping_keeps_what_was_said_and_a_closed_tab_ends_its_answer(page):
    page.on_row(0, ALICE)
    states = []
    for shown in page.on_ask("Male?", ALICE):
        states.append(shown[4]["interactive"])
        page.on_stop(ALICE)
    assert states[0] is True and states[-1] is False
    session = page.handlers.sessions.get("alice")
    assert session.asked is None
    page.on_row(0, BOB)
    answers = page.on_ask("Male?", BOB)
    next(answers)
    stop = page.handlers.sessions.get("bob").stop
    page.on_leave(BOB)
    assert stop.is_set()
    answers.close()


def test_a_scan_that_is_sent_while_an_answer_is_written_is_the_next_question_s(page, upload):
    page.on_upload(as_sent(upload(11, "first.nii")), "sMRI", ALICE)
    answers = page.on_ask("One?", ALICE)
    next(answers)
    assert "being written" in page.on_reference("male", ALICE)[STATUS]
    assert "being written" in ask(page, "Two?")[-1]
    page.on_upload(as_sent(upload(12, "second.nii")), "sMRI", ALICE)
    list(answers)
    texts = list_texts(ask(page, "Three?")[0])
    assert texts[:2] == ["Scan: first.nii (sMRI)", "One?"] and texts[3:5] == ["Scan: second.nii (sMRI)", "Three?"]


def test_two_models_stand_side_by_side(talk, splits):
    page = Page(Handlers([talk, talk], splits["test"]), 1000)
    page.on_row(0, ALICE)
    left, right, *_ = ask(page, "Male?")
    assert left == right and len(left) == 3
    blocks = page.build().blocks.values()
    assert {"chat_0", "chat_1", "labels_0", "labels_1"} <= {one.elem_id for one in blocks}
    assert (
        next(one for one in blocks if one.elem_id == "chat_0").label == talk.talker.opened.name
    )  # of two named alike


def test_labels_are_known_from_rows_or_from_beside_the_model_and_else_it_is_said(place, splits):
    known = find_labels(str(place / "run"), splits, "test")
    assert known.labels == ("female", "male") and known.candidates[0] == "The subject is female."
    unknown = find_labels(str(place / "run"), None, "test")
    assert unknown.labels == () and "not known (no --json_dir was given" in unknown.told
    assert "not known" in show_probabilities(unknown, ())
    folder = place / "run" / "eval"
    folder.mkdir()
    settings = {"model": fingerprint_model(str(place / "run")), "task": "classification", "labels": ["a", "b"]}
    (folder / "settings.json").write_text(
        json.dumps(settings | {"forms": ["a", "b"], "answer_template": "It is {label}."})
    )
    (folder / "metrics.json").write_text("{}")
    told = find_labels(str(place / "run"), None, "test")
    assert told.candidates == ["It is a.", "It is b."] and "eval/settings.json" in told.told
    answers = {"task": "classification", "labels": ["c", "d"], "forms": [], "answer_template": "{label}!"}
    TrainedQuestions(8, answers=answers).save(place / "run")
    told = find_labels(str(place / "run"), None, "test")
    assert told.candidates == ["c!", "d!"] and "umbrella_questions.json" in told.told
    both = find_labels(str(place / "run"), splits, "test")
    assert both.told.endswith("The model was trained on others: not on female, male, but on c, d.")


def test_nothing_of_a_name_is_read_as_html():
    shown = [
        show_header([HOSTILE], [HOSTILE]),
        show_status(HOSTILE),
        show_truth(HOSTILE, HOSTILE),
        show_probabilities(KnownLabels((HOSTILE, "b"), HOSTILE, HOSTILE), (0.5, 0.5)),
        show_probabilities(KnownLabels((), "", HOSTILE), ()),
    ]
    assert not any("<img" in piece for piece in shown)
    assert all("&lt;img" in piece for piece in shown)
    assert NOT_A_DEVICE in shown[0]


WRONG_STARTS = {
    ("--model_name_or_path", "/nowhere"): r"found no folder '/nowhere'",
    ("--port", "70000"): r"--port: expected at least 1 and at most 65535, found 70000",
    ("--image_root", "scans"): r"--image_root scans: expected --json_dir FOLDER too",
    ("--split", "validation"): r"--split validation: expected --json_dir FOLDER too",
    ("--json_dir", "nowhere"): r"nowhere",
    ("--compare", "/nowhere"): r"found no folder '/nowhere'",
}


@pytest.mark.parametrize("flags", WRONG_STARTS, ids=lambda flags: flags[0])
def test_a_wrong_start_is_said_in_one_sentence(flags, call, capsys):
    with pytest.raises(SystemExit) as end:
        call(demo, *flags)
    message = end.value.code if isinstance(end.value.code, str) else capsys.readouterr().err
    assert re.search(WRONG_STARTS[flags], message) and "Traceback" not in message


def test_without_its_extra_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with pytest.raises(SystemExit, match=r"demo.py: expected the package gradio, found none.*pip install .*\[demo\]"):
        runpy.run_path(str(Path(demo.__file__)), run_name="__main__")


def post(address, name, n_bytes):
    """Send a file as the page does; returns the status."""
    head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = head + bytes(n_bytes) + b"\r\n--b--\r\n"
    request = urllib.request.Request(f"{address}gradio_api/upload", body, method="POST")
    request.add_header("Content-Type", "multipart/form-data; boundary=b")
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, None


def send_path(blocks, address, path):
    """Name a file of this machine as one that was sent; returns what the server says until it has ended."""
    (number,) = [key for key, one in blocks.fns.items() if one.name == "on_upload"]
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": [file, "sMRI"], "fn_index": number, "session_hash": "mallory"}
    request = urllib.request.Request(f"{address}gradio_api/queue/join", json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        return error.read().decode()
    with urllib.request.urlopen(f"{address}gradio_api/queue/data?session_hash=mallory", timeout=30) as said:
        return "".join(line.decode() for line in said)


@pytest.mark.slow
def test_the_page_is_served_to_this_machine_alone_and_loads_nothing_from_elsewhere(page, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    blocks = page.build()
    address = serve(blocks, DemoArguments(max_upload_mb=1), is_waiting=False)
    try:
        assert address.startswith("http://127.0.0.1:")
        assert blocks.share_url is None and not blocks.analytics_enabled
        text = urllib.request.urlopen(address).read().decode()
        hosts = set(re.findall(r"""(?:src|href)=["'](?:https?:)?//([^/"']+)""", text))
        assert hosts <= {address.split("/")[2]}
        style = urllib.request.urlopen(f"{address}theme.css").read().decode()
        assert "googleapis" not in text + style and "@import" not in style
        with pytest.raises(ValueError, match="expected a free port"):
            serve(page.build(), DemoArguments(port=blocks.server_port), is_waiting=False)
        elsewhere = urllib.request.Request(address, headers={"Host": "attacker.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):  # a name that leads here
            urllib.request.urlopen(elsewhere)
        with pytest.raises(urllib.error.HTTPError, match="404"):  # 403 of Gradio, once it has asked
            urllib.request.urlopen(f"{address}gradio_api/file=https://elsewhere.example/a.png")
        assert post(address, "small.nii", 10**5)[0] == 200
        assert post(address, "large.nii", 2 * 10**6) == (413, None)
        assert post(address, "small2.nii", 10**5)[0] == 200  # the server goes on
        assert not list(tmp_path.rglob("*large*"))
        shown = page.on_row(0, ALICE)[VIEWER]["url"]
        assert urllib.request.urlopen(f"{address}gradio_api/file={shown}").read() == Path(shown).read_bytes()
        assert '"success":false' in send_path(blocks, address, shown)  # what a page is given is no upload
        assert Path(shown).exists() and not page.handlers.sessions.get("mallory").sent
    finally:
        blocks.close()


def test_a_refusal_is_no_bug(page):
    with pytest.raises(Refusal):
        page.handlers.choose_row(page.handlers.sessions.get("carol"), -1)


def test_a_map_does_not_stand_beside_another_answer(page, upload):
    page.on_upload(as_sent(upload(13)), "sMRI", ALICE)
    answer = list_texts(ask(page, "Male or female?")[0])[-1]
    *_, (text, viewer, *_) = page.on_look(ALICE)
    assert f"The log-likelihood of “{answer}” is" in text
    assert viewer["start"][2] == 0.5  # on the slice that the view shows
    assert all(shown[-3:-1] == ["", None] for shown in page.on_ask("Sure?", ALICE))
    assert page.on_row(0, ALICE)[MAP : MAP_VIEWER + 1] == ["", None] == page.on_new(ALICE)[MAP : MAP_VIEWER + 1]


def test_a_map_of_a_scan_that_is_left_is_not_shown(talk, splits):
    page = Page(Handlers([talk, talk], splits["test"]), 1000)
    page.on_row(1, ALICE)
    ask(page, "Male or female?")
    maps = page.on_look(ALICE)
    next(maps)
    page.on_which_scan(0, ALICE)
    assert not any(viewer for shown in maps for viewer in shown[2:4])


def test_a_scan_has_the_name_that_it_was_sent_under(page, upload):
    name = "Kopf <b>ü 脳&amp;.nii"
    shown = page.on_upload(as_sent(upload(15, "Kopf bü 脳.nii"), name), "sMRI", ALICE)
    assert (
        shown[VIEWER]["name"] == name
        and f"{name} is chosen" in html.unescape(shown[STATUS])
        and "<b>" not in shown[STATUS]
    )
    spoiled = page.on_upload(as_sent(spoil(upload(16)), name), "sMRI", ALICE)[STATUS]
    assert f">{name}: expected a NIfTI" in html.unescape(spoiled)


def test_a_text_with_signs_of_html_is_text_in_the_chat(page):
    page.on_row(0, ALICE)
    assert list_texts(ask(page, "Is <img src=x> & 1 < 2 so?")[0])[1] == "Is &lt;img src=x&gt; &amp; 1 &lt; 2 so?"
    session = page.handlers.sessions.get("alice")
    assert session.conversations[0].turns[0]["content"][-1]["text"] == "Is <img src=x> & 1 < 2 so?"  # for the model


def test_a_file_that_is_taken_away_is_no_longer_shown(page, upload):
    page.on_upload(as_sent(upload(14)), "sMRI", ALICE)
    shown = page.on_drop(ALICE)
    assert shown[VIEWER] is None and "is taken away" in shown[STATUS]
    page.on_row(0, ALICE)
    assert not isinstance(page.on_drop(ALICE), list)


def test_a_row_that_is_chosen_twice_is_read_once(page):
    assert page.on_other_row(0, ALICE)[VIEWER]["name"]
    assert not isinstance(page.on_other_row(0, ALICE), list)
    ask(page, "Male?")
    assert page.on_other_row(0, ALICE)[CHAT] == []  # begins anew


@pytest.mark.parametrize("broken", ["answerer.answer_row", "answerer.score_row", "answerer.prompts.load_images"])
def test_what_nobody_expected_is_said_and_the_page_goes_on(broken, page, monkeypatch, capsys):
    page.on_row(0, ALICE)

    def fail(*_, **__):
        raise KeyError("hidden_size")

    *path, name = broken.split(".")
    thing = page.handlers.talks[0].talker.opened
    for part in path:
        thing = getattr(thing, part)
    with monkeypatch.context() as patch:
        patch.setattr(thing, name, fail)
        if name == "load_images":
            assert "KeyError" in page.on_seen(ALICE)[-1]
            return
        chat, _, question, ask_button, stop_button, *_, status = ask(page, "Male?")
    assert "does not know (KeyError: &#x27;hidden_size&#x27;)" in status and "Traceback" in capsys.readouterr().err
    assert ask_button["interactive"] and not stop_button["interactive"] and question == "Male?" and chat == []
    assert len(ask(page, "And now?")[0]) == 3


def test_a_question_unlike_those_of_training_is_warned_of(talk, splits):
    trained = TrainedQuestions(4, {"Is this scan of a male or a female?": 4}, {"image text": 4})
    page = Page(Handlers([replace(talk, trained=trained)], splits["test"]), 1000)
    page.on_row(0, ALICE)
    assert "unlike" not in ask(page, "Is this scan of a male or a female?")[1]
    again = ask(page, "How old?")[1]
    assert "The question is unlike those of training (likeness 0.00" in again
    assert "goes otherwise (image text | text | text)" in again and again.endswith("</p>")
    page = Page(Handlers([talk], splits["test"]), 1000)
    page.on_row(0, BOB)
    assert "is not known: it has no umbrella_questions.json" in ask(page, "How old?", BOB)[1]


def test_two_models_that_are_shown_a_scan_otherwise_are_told_apart():
    alike = show_header(["a", "b"], ["axial", "axial"])
    assert "A scan is shown to both as axial." in alike
    assert "To <b>b</b> a scan is shown as coronal." in show_header(["a", "b"], ["axial", "coronal"])
    assert "A scan is shown to it as axial." in show_header(["a"], ["axial"])


def test_no_more_tokens_are_offered_than_the_model_takes(page, monkeypatch):
    prompts = page.handlers.talks[0].talker.opened.answerer.prompts
    monkeypatch.setattr(prompts, "max_length", 4096)
    assert page.handlers._offer_more_tokens() == ""


@pytest.mark.nightly
def test_the_page_starts_where_the_folder_that_gradio_shares_is_anothers_and_leaves_nothing(place, tmp_path):
    (tmp_path / "gradio").write_text("another's")
    environment = {name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"}
    command = [sys.executable, "-u", demo.__file__, "--model_name_or_path", place / "run", "--use_cpu", "true"]
    page = subprocess.Popen(command, env=environment | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True)
    assert any(line.startswith("The page is at") for line in page.stdout)
    assert len(list(tmp_path.glob("umbrella-*"))) >= 2
    page.terminate()
    page.wait(60)
    assert [left.name for left in tmp_path.iterdir() if left.name.startswith(("umbrella", "gradio"))] == ["gradio"]
