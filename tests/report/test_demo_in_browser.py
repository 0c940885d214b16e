"""The page to talk to a model, as a person uses it in Chromium: one server and one browser for all."""

import io
import re

import nibabel
import numpy as np
import predict
import pytest
from conversation_folder import write_folder
from loud_model import save_loud_model
from page_probe import CHROMIUM, needs_chromium
from PIL import Image

from umbrella.answers.talking.opening import open_model
from umbrella.answers.talking.talker import Talker
from umbrella.options.arguments import ModelArguments
from umbrella.report.demo.arguments import DemoArguments
from umbrella.report.demo.handlers import Handlers, Talk
from umbrella.report.demo.known_labels import KnownLabels
from umbrella.report.demo.page import Page
from umbrella.report.demo.serving import serve
from umbrella.report.demo.shown_files import find_folder
from umbrella_dataset import load_umbrella

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
pytestmark = [pytest.mark.slow, needs_chromium]

SHAPE, MARK_MM, MARK = (20, 24, 16), np.array([-24.0, 30.0, 0.0]), 250.0
HOSTILE = "<img src=x onerror=alert(1)>.nii.gz"
WAIT_MS = 30_000


def write_marked_series(path):
    """A head of four frames, each darker than the one before, stored from right to left and from front to back; a
    bright ball lies on its left, in front."""
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    affine[:3, 3] = [38, 46, -30]
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    head = 100.0 * ((places / [34, 42, 28]) ** 2).sum(axis=-1).__lt__(1) + 5 * np.cos(places[..., 2] / 5)
    ball = np.linalg.norm(places - MARK_MM, axis=-1) < 8
    frames = [np.where(ball, MARK, head * share) for share in (1.0, 0.8, 0.6, 0.4)]
    nibabel.Nifti1Image(np.stack(frames, axis=-1).astype(np.float32), affine).to_filename(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model that was never trained, rows of data, and a series."""
    folder = tmp_path_factory.mktemp("browser")
    write_folder(folder / "data", {"test": [1, 2]})
    write_marked_series(folder / HOSTILE)
    save_loud_model(folder / "run")
    return folder


@pytest.fixture(scope="module")
def address(place):
    labels = KnownLabels(("female", "male"), "The subject is {label}.", "Labels as in the rows.")
    opened = open_model(ModelArguments(str(place / "run")), DemoArguments(max_new_tokens=6), labels.candidates)
    rows = load_umbrella(str(place / "data"))["test"]
    blocks = Page(Handlers([Talk(Talker(opened), labels)], rows), 1000).build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(place / "sent"))
        yield serve(blocks, DemoArguments(), is_waiting=False)
        blocks.close()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, address):
    """width → the page; afterwards nothing has gone wrong in it, and nothing was asked of another host."""
    wrong, opened = [], []

    def open_at(width, script=None):
        page = browser.new_page(viewport={"width": width, "height": 900})
        opened.append(page)
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: None if is_own(request.url, address) else wrong.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(address)
        return page

    yield open_at
    for page in opened:
        page.close()
    assert wrong == []


def is_own(url, address):
    return url.startswith((address, "data:", "blob:"))


def wait_for_scan(page, name, viewer="viewer"):
    page.locator(f"#{viewer} [data-part=name]", has_text=name).wait_for()
    page.locator(f"#{viewer} [data-state=ready][data-voxel]").wait_for()
    return page.locator(f"#{viewer} [data-part=viewer]")


def send(page, path, modality):
    page.get_by_role("tab", name="Your own scan").click()
    page.locator("#modality input").click()
    page.get_by_role("option", name=modality).click()
    page.locator("#upload input[type=file]").set_input_files(path)
    return wait_for_scan(page, path.name)


def ask(page, question, n_answers):
    page.locator("#question textarea").fill(question)
    page.locator("#ask").click()
    page.locator(f"#labels_0 li >> nth={1 if n_answers else 0}").wait_for()
    page.locator("#stop:disabled, #stop[disabled], #stop button[disabled]").wait_for()
    answers = page.locator("#chat_0 .bot.message")
    sync_api.expect(answers).to_have_count(n_answers)
    return answers.last.inner_text().strip()


def read_value(viewer):
    """(voxel along X, Y, Z; its value) of the crosshair, as the viewer tells them."""
    voxel = tuple(int(index) for index in viewer.get_attribute("data-voxel").split())
    return voxel, float(viewer.get_attribute("data-value"))


def predict_answer(call, place, question, image, modality):
    flags = ["--image", image, "--modality", modality, "--question", question, "--max_new_tokens", 6]
    return call(predict, "--model_name_or_path", place / "run", *flags).strip()


def test_a_scan_is_sent_looked_at_asked_about_and_left_for_a_row(open_page, place, call):
    others = set(find_folder().glob("*.nii"))  # of pages that this process has built before
    page = open_page(1400)
    viewer = send(page, place / HOSTILE, "fMRI")
    series = nibabel.as_closest_canonical(nibabel.load(place / HOSTILE)).get_fdata()

    # ---------------------------------------------------------------------------------------------- time
    page.locator("#viewer [data-part=time]").focus()
    page.keyboard.press("Home")
    canvas, pictures = page.locator("#viewer canvas"), []
    for frame in range(4):
        sync_api.expect(viewer).to_have_attribute("data-frame", str(frame))
        voxel, value = read_value(viewer)
        assert value == pytest.approx(series[(*voxel, frame)], rel=1e-6)
        pictures.append(canvas.screenshot())
        page.keyboard.press("ArrowRight")
    assert len(set(pictures)) == 4
    assert page.locator("#viewer [data-part=time-text]").inner_text() == "4 of 4"

    # ---------------------------------------------------------------------------------------------- questions
    first, again = "Is this scan of a male or a female?", "Are you <img src=http://example.org/x> & 1 < 2 sure?"
    assert ask(page, first, 1) == predict_answer(call, place, first, place / HOSTILE, "fMRI")
    assert ask(page, again, 2)
    said = page.locator("#chat_0").inner_text()
    assert 0 <= said.index("Scan: <img") < said.index(first) < said.index(again)

    # ---------------------------------------------------------------------------------------------- what it saw
    page.locator("#seen_part > button").click()
    picture = page.locator("#seen_0 img")
    picture.wait_for()
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [64, 64]
    assert re.search(r"64 × 64 pixels. Black is -?\d", page.locator("#seen_0").inner_text())

    # ---------------------------------------------------------------------------------------------- a row
    page.get_by_role("tab", name="A row of the data").click()
    page.locator("#row input").click()
    page.get_by_role("option", name="1: test_1").click()
    viewer = wait_for_scan(page, "test_1_1.nii")
    voxel, value = read_value(viewer)
    stored = nibabel.as_closest_canonical(nibabel.load(place / "data" / "test_1_1.nii")).get_fdata()
    assert value == stored[voxel]
    assert not page.locator("#viewer [data-part=time]").is_visible()
    assert page.locator("#question textarea").input_value() == "Is this scan of a male or a female?"
    page.locator("#ask").click()
    sync_api.expect(page.locator("#chat_0 .bot.message")).to_have_count(2)
    page.locator("#labels_0 li").first.wait_for()

    # ---------------------------------------------------------------------------------------------- where it looked
    page.locator("#looked_part > button").click()
    page.locator("#show_looked").click()
    viewer = wait_for_scan(page, "test_1_1.nii", "looked_viewer_0")
    assert "Speaks for the answer" in viewer.locator("[data-part=place]").inner_text()
    opacity, canvas = viewer.locator("[data-part=opacity-1]"), viewer.locator("canvas")
    opacity.press("End")
    whole = canvas.screenshot()
    opacity.press("Home")
    assert canvas.screenshot() != whole

    # ---------------------------------------------------------------------------------------------- what is left
    kept = set(find_folder().glob("*.nii")) - others
    page.goto("about:blank")
    sync_api.expect(page).to_have_url("about:blank")
    for _ in range(100):
        if kept and not any(path.exists() for path in kept):
            break
        page.wait_for_timeout(100)
    assert kept and not any(path.exists() for path in kept)


def test_left_is_left_and_marked(open_page, place):
    page = open_page(1000)
    viewer = send(page, place / HOSTILE, "fMRI")
    canvas = page.locator("#viewer canvas")
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    # White is the ball in the axial plane alone: the head is dark in the last frame.
    page.locator("#viewer [data-part=time]").focus()
    page.keyboard.press("End")
    sync_api.expect(viewer).to_have_attribute("data-frame", "3")
    page.locator("#viewer [data-part=reset]").click()
    pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("L"), dtype=float)
    rows, columns = np.nonzero(np.pad(pixels[10:-10, 10:-10], 10) == 255)  # without the round corners
    assert len(rows) > 50 and np.ptp(rows) < 60 and np.ptp(columns) < 60
    at = columns.mean(), rows.mean()
    scale = box["width"] / pixels.shape[1]
    canvas.click(position={"x": at[0] * scale, "y": at[1] * scale})
    sync_api.expect(viewer).to_have_attribute("data-value", str(int(MARK)))
    said = page.locator("#viewer [data-part=place]").inner_text()
    assert re.match(r"L \d+\.\d\s+A \d+\.\d", said)


def test_a_phone_shows_all_of_it_and_scrolls_down_alone(open_page, place):
    page = open_page(390)
    send(page, place / HOSTILE, "fMRI")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    controls = page.locator("#viewer input[type=range]:visible")
    assert controls.count() == 3
    assert all(controls.nth(number).bounding_box()["width"] > 80 for number in range(3))


def test_without_webgl2_the_model_can_be_asked_all_the_same(open_page, place):
    page = open_page(1000, "HTMLCanvasElement.prototype.getContext = () => null")
    page.get_by_role("tab", name="A row of the data").click()
    page.locator("#show_row").click()
    message = page.locator("#viewer [data-state=failed] [data-part=message]")
    message.wait_for()
    assert message.inner_text() == (
        "This browser does not draw 3-D scans: it has no WebGL2. The model can be asked all the same."
    )
    page.locator("#ask").click()
    sync_api.expect(page.locator("#chat_0 .bot.message")).to_have_count(1)
