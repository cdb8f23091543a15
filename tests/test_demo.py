"""The demo, used as a teacher would in a browser, as many visitors would at once, and as nobody should."""

import base64
import contextlib
import http.client
import io
import json
import re
import tempfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from unittest.mock import Mock
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from scipy.special import softmax

from benchmarks.demo import Visitor
from cs231n.data_utils import class_names
from cs231n.demo import dream, server
from cs231n.demo.guard import MAX_BODY
from cs231n.demo.live import AT_ONCE, MAX_RUNS, Shelf
from cs231n.demo.look import place
from cs231n.demo.markup import Picture, curves
from cs231n.demo.photographs import MAX_MEGABYTES, read_data_uri
from cs231n.demo.recording import Frame, Recording
from cs231n.demo.words import class_choices, percent
from cs231n.net_visualization import compute_saliency_maps
from cs231n.plotting import ColorScale

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; on Debian: apt-get install chromium"
)
SECONDS = 1000  # Playwright counts in milliseconds
TRACE = re.compile(r"Traceback|File \"|\.py\b|Error\b.*line \d")


def png_header(width, height):
    """Return the start of a PNG of that size, whose pixels never come."""
    ihdr = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + ihdr + zlib.crc32(ihdr).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + bytes(4)


HOSTILE = {
    "text": (b"not an image", "is not an image that can be read"),
    "nothing": (b"", "is empty (0 bytes)"),
    "bomb": (png_header(60_000, 60_000), "more than 64 megapixels"),
    "script": (
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "is not an image that can be read",
    ),
    "half": (png_header(50, 50), "is damaged or cut short"),
}
hostile = pytest.mark.parametrize(("content", "sentence"), HOSTILE.values(), ids=HOSTILE)


def jpeg(pixels):
    """Return the content of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def data_uri(content):
    """Return what a page sends of a file."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def pictures_in(html):
    """Return the pictures in a piece of HTML, raw, by their alternative texts."""
    found = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]*)">', html)
    return {alt: np.array(Image.open(io.BytesIO(base64.b64decode(data)))) for data, alt in found}


@hostile
def test_a_file_that_is_no_photograph_gets_a_sentence(content, sentence):
    """Whatever is sent under an image's name, the reader of files says in one sentence what it is."""
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        read_data_uri(data_uri(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (None, "What was sent is no file"),
        ({"path": "/etc/passwd"}, "What was sent is no file"),
        ("/etc/passwd", "What was sent is no file"),
        ("file:///etc/passwd", "What was sent is no file"),
        ("data:image/png;base64,%%%%", "damaged on its way"),
        ("data:image/png;base64," + "A" * int(MAX_MEGABYTES * 1.4e6), "larger than 20 MB"),
    ],
)
def test_what_is_no_file_at_all_gets_a_sentence(sent, sentence):
    """A path, an address or an endless text is never opened; the sentence says what to send."""
    with pytest.raises(ValueError, match=sentence):
        read_data_uri(sent)


def test_a_photograph_becomes_the_networks_square():
    """A file of any size is cut to its middle and scaled, as everywhere in the kit."""
    pixels = np.zeros((100, 300, 3), np.uint8)
    pixels[:, 100:200] = 200
    photograph = read_data_uri(data_uri(jpeg(pixels)))
    assert photograph.pixels.shape == (224, 224, 3)
    assert photograph.pixels[:, 10:-10].min() > 190  # JPEG's losses; the dark sides are gone


def test_classes_can_be_told_apart():
    """All 1000 classes are in the list, and no two of them read the same, though two are called crane."""
    choices = class_choices()
    assert sorted(label for _, label in choices) == list(range(1000))
    assert len({name for name, _ in choices}) == 1000


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0, "less than 1 %"), (0.0049, "less than 1 %"), (0.5, "50 %"), (0.994, "99 %"), (1, "over 99 %")],
)
def test_no_probability_is_shown_as_certain(probability, text):
    """Between 0.5 % and 99.5 % it is a number of percent; beyond, words."""
    assert percent(probability) == text


def test_place_of_a_map_is_told_in_words():
    """Where a map's weight is, is what the alternative text says."""
    corner, middle = np.zeros((9, 9)), np.ones((9, 9))
    corner[0, 8] = 1
    assert place(corner) == "at the upper right"
    assert place(corner.T) == "at the lower left"
    assert place(middle) == "around the centre"
    assert place(np.zeros((9, 9))) == "nowhere"


def test_curves_say_their_values_and_stay_inside():
    """The chart's text names each line's value at the mark; gaps are left out, and every point is inside."""
    html = curves({"a <b>": [0, 2.5, 10], "c": [1, np.nan, -4]}, x_label="step", y_label="score", at=2)
    assert "score by step. At 2: a &lt;b&gt;: 10; c: -4." in html
    for points in re.findall(r'<polyline points="([^"]*)"', html):
        places = np.array([point.split(",") for point in points.split()], float)
        assert (places >= 0).all()
        assert (places <= [480, 220]).all()
    assert re.search(r'points="[^" ]+ [^" ]+"', html)  # two points of c


def test_old_runs_make_room_and_those_of_leavers_go():
    """No more runs are kept than said, the newest; a visitor's go with the visitor."""
    shelf = Shelf()
    recordings = [Recording(["a"], "step", "score") for _ in range(MAX_RUNS + 3)]
    for i, recording in enumerate(recordings):
        recording.frames.append(Frame((), (0.0,), ""))
        shelf.put(f"visitor {i}", "fool", recording)
    assert len(shelf) == MAX_RUNS
    assert shelf.get(f"visitor {MAX_RUNS}", "fool") is recordings[MAX_RUNS]
    with pytest.raises(ValueError, match="press Start"):
        shelf.get("visitor 0", "fool")
    shelf.forget(f"visitor {MAX_RUNS}")
    with pytest.raises(ValueError, match="press Start"):
        shelf.get(f"visitor {MAX_RUNS}", "fool")


def test_an_animation_has_the_first_and_the_last_frame():
    """Of a long run at most fifty frames go into the GIF, side by side, from the first to the last."""
    recording = Recording(["a"], "step", "score")
    for k in range(101):
        grey = Picture.of(np.full((16, 16, 3), 2 * k, np.uint8), alt="grey")
        recording.frames.append(Frame((grey, grey), (0.0,), ""))
    with Image.open(io.BytesIO(recording.gif())) as animation:
        assert animation.n_frames == 50
        assert animation.size == (32, 16)
        assert animation.convert("RGB").getpixel((20, 8)) == (0, 0, 0)
        animation.seek(49)
        assert animation.convert("RGB").getpixel((20, 8)) == (200, 200, 200)


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.5", False)],
)
def test_who_can_reach_the_server_is_known(host, alone):
    """Only loopback addresses need no warning."""
    assert server.is_loopback(host) == alone


@pytest.fixture(scope="module")
def app(model):
    """Run the demo in this process, on a free port."""
    before = _files_in_temporary_folder()
    with server.running(model) as running:
        yield running
    assert _files_in_temporary_folder() - before == set()


def _files_in_temporary_folder():
    """Return the files that Gradio might have kept."""
    return {path for path in Path(tempfile.gettempdir()).glob("gradio*/**/*") if path.is_file()}


@pytest.fixture(scope="module")
def address(app):
    """Return the demo's address, ending in a slash."""
    return app.local_url


@pytest.fixture(scope="module")
def browser():
    """Run a Chromium that asks nobody about its camera, which is a moving test picture."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address):
    """Open the demo as a new visitor; afterwards nothing may have gone wrong in the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.requested, page.problems = [], []
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
    page.set_default_timeout(20 * SECONDS)
    expect.set_options(timeout=20 * SECONDS)
    page.goto(address)
    expect(page.locator("#bars button").first).to_be_visible()
    yield page
    context.close()
    assert page.problems == []


def open_tab(page, name):
    """Open a tab and return what is in it."""
    page.get_by_role("tab", name=name).click()
    panel = page.get_by_role("tabpanel").filter(visible=True)
    expect(panel).to_be_visible()
    return panel


def search(panel, label, text):
    """Choose a class by typing a part of its name."""
    box = panel.get_by_role("combobox", name=label)
    box.click()
    box.press_sequentially(text)
    options = panel.page.get_by_role("option")
    expect(options.first).to_contain_text(text)
    options.first.click()


def go_back(panel, step):
    """Move the slider to a step by the keyboard."""
    slider = panel.get_by_role("slider", name="range slider for Back through the steps")
    expect(slider).to_be_enabled()
    slider.focus()
    slider.press("Home" if step == 0 else "End")


def save(page, button):
    """Press a button that saves, and return the picture that the browser got."""
    with page.expect_download() as download:
        button.click()
    return Image.open(download.value.path())


@needs_browser
@pytest.mark.slow
def test_page_asks_nothing_of_elsewhere_and_all_pictures_have_texts(page):
    """Every request goes to the demo's own address; every picture and every control has a name."""
    for name in ("Fool", "Dream", "Believe?", "Style", "Look"):
        open_tab(page, name)
    hosts = {urlsplit(url).netloc for url in page.requested if url.startswith(("http", "ws"))}
    assert hosts == {urlsplit(page.url).netloc}
    assert page.locator("img").count() > 20
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    fonts = page.evaluate("[...document.fonts].map(font => font.family)")
    assert fonts == []


@needs_browser
@pytest.mark.slow
def test_look_shows_guesses_and_the_evidence_for_each(page, model, photographs):
    """The five bars are the network's; a click on one shows its map; two can be compared, and saved."""
    panel = open_tab(page, "Look")
    page.get_by_role("button", name="Sample photograph 4").click()
    scores = softmax(model.compute_scores(photographs[0][3:4])[0])
    best = scores.argsort()[::-1][:5]
    for bar, label in zip(range(5), best, strict=True):
        button = panel.locator("#bars button").nth(bar)
        expect(button).to_contain_text(class_names()[label].split(",")[0])
        expect(button).to_contain_text(percent(scores[label]))
    expect(panel.locator("#bars button").nth(0)).to_have_attribute("aria-pressed", "true")

    second = class_names()[best[1]].split(",")[0]
    panel.locator("#bars button").nth(1).click()
    expect(panel.locator("figcaption").nth(1)).to_have_text(f"gradient for {second}")
    expect(panel.locator("#maps img")).to_have_count(2)
    search(panel, "Method", "grad cam")
    expect(panel.locator("figcaption").nth(1)).to_have_text(f"grad cam for {second}")
    faint = panel.locator("#maps img").nth(1).get_attribute("src")
    panel.get_by_role("slider", name="range slider for Overlay strength").press("End")
    expect(panel.locator("#maps img").nth(1)).not_to_have_attribute("src", faint)

    panel.get_by_label("Two classes").check()
    search(panel, "Second class", "goldfish")
    expect(panel.locator("figcaption").nth(2)).to_have_text("grad cam for goldfish")
    panel.get_by_label("Two methods").check()
    expect(panel.locator("figcaption").nth(2)).to_have_text(f"guided backprop for {second}")
    with save(page, panel.get_by_role("button", name="Save PNG")) as picture:
        assert picture.format == "PNG"
        assert picture.width > 3 * 224


@needs_browser
@pytest.mark.slow
def test_keyboard_is_enough(page):
    """Photographs and classes are chosen with Tab and Enter, and the focus stays where it was."""
    bar, first = page.locator("#bars button").nth(2), page.locator("#bars button").first.inner_text()
    page.get_by_role("button", name="Sample photograph 1:").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#current img")).to_have_attribute("alt", re.compile("Sample photograph 2"))
    expect(page.locator("#bars button").first).not_to_have_text(first, use_inner_text=True)
    bar.focus()
    page.keyboard.press("Enter")
    expect(bar).to_have_attribute("aria-pressed", "true")
    expect(bar).to_be_focused()


@needs_browser
@pytest.mark.slow
def test_own_photographs_and_the_camera(page):
    """A file and the camera's picture take the sample's place; the network says what it sees."""
    guess = page.locator("#bars button").first
    before = guess.inner_text()
    grey = jpeg(np.full((300, 400, 3), 128, np.uint8))
    page.get_by_label("Your own photo").set_input_files(
        {"name": "grey.jpg", "mimeType": "image/jpeg", "buffer": grey}
    )
    expect(page.locator("#current img")).to_have_attribute("alt", "Your photograph")
    expect(guess).not_to_have_text(before)
    expect(page.locator("#strip [aria-pressed=true]")).to_have_count(0)
    mine = page.locator("#current img").get_attribute("src")
    page.get_by_label("Your own photo").set_input_files(
        {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": bytes(20_000_001)}
    )
    trouble = page.get_by_role("alert").filter(has_text="larger than 20 MB")
    expect(trouble).to_be_visible()
    page.get_by_role("button", name="Camera", exact=True).click()
    expect(page.get_by_role("button", name="Take the picture")).to_be_visible()
    page.wait_for_function("document.querySelector('video').videoWidth > 0")
    page.get_by_role("button", name="Take the picture").click()
    expect(page.locator("#current img")).not_to_have_attribute("src", mine)
    expect(trouble).to_have_count(0)
    expect(page.get_by_role("button", name="Take the picture")).to_be_hidden()


@needs_browser
@pytest.mark.slow
def test_hostile_files_get_a_sentence_and_the_page_goes_on(page, tmp_path):
    """No image, nothing, a bomb, a script, 100 MB: each is refused in words, and nothing else changes."""
    for name, (content, sentence) in HOSTILE.items():
        file = {"name": f"{name}.png", "mimeType": "image/png", "buffer": content}
        page.get_by_label("Your own photo").set_input_files(file)
        expect(page.get_by_text(sentence).first).to_be_visible()
        page.get_by_role("button", name="close").or_(page.locator(".toast-close")).first.click()
        expect(page.get_by_text(sentence)).to_have_count(0)
    large = tmp_path / "large.jpg"
    with open(large, "wb") as file:
        file.truncate(100_000_000)
    page.get_by_label("Your own photo").set_input_files(large)
    expect(page.get_by_role("alert").filter(has_text="larger than 20 MB")).to_be_visible()
    expect(page.locator("#current img")).to_have_attribute("alt", re.compile("Sample photograph 1"))
    expect(page.locator("#strip [aria-pressed=true]")).to_have_count(1)
    assert not TRACE.search(page.locator("body").inner_text())


@needs_browser
@pytest.mark.slow
def test_fool_until_the_network_sees_the_target(page):
    """From the photograph to the class typed in, with curves; back to the start; saved as an animation."""
    panel = open_tab(page, "Fool")
    search(panel, "Target class", "tarantula")
    panel.get_by_role("button", name="Start").click()
    expect(panel.locator(".said")).to_have_text(
        re.compile(r"Fooled after \d+ steps: the network sees tarantula")
    )
    expect(panel.locator(".legend")).to_contain_text("tarantula")
    expect(panel.get_by_role("img", name=re.compile("score by step"))).to_be_visible()
    go_back(panel, 0)
    expect(panel.locator(".said")).to_have_text(re.compile(r"Step 0: the network sees (?!tarantula)"))
    with save(page, panel.get_by_role("button", name="Save GIF")) as animation:
        assert animation.n_frames > 3
        assert animation.size == (2 * 224, 224)


@needs_browser
@pytest.mark.slow
def test_a_class_that_is_not_there_is_said_to_be(page):
    """Who types what no class is called is told so, and keeps the class chosen before."""
    box = open_tab(page, "Dream").get_by_role("combobox", name="Class")
    box.click()
    box.press_sequentially("zzq")
    page.wait_for_function("document.activeElement.validationMessage.startsWith('Nothing in the list')")
    box.press("Escape")
    box.blur()
    expect(box).to_have_value(re.compile("tarantula"))
    page.wait_for_function("[...document.querySelectorAll('input')].every((input) => input.validity.valid)")


@needs_browser
@pytest.mark.slow
def test_dream_grows_until_stopped(page, monkeypatch):
    """The picture grows step by step; Stop ends the work, not only the show; what there is can be saved."""
    ended = watch_the_end(monkeypatch)
    panel = open_tab(page, "Dream")
    panel.get_by_role("slider", name="range slider for Steps", exact=True).press("End")
    panel.get_by_role("button", name="Start").click()
    expect(panel.locator(".said")).to_have_text(re.compile(r"Step ([5-9]|\d\d+) of 200: the score of tarant"))
    panel.get_by_role("button", name="Stop").click()
    assert ended.wait(20)
    assert ended.steps < 200
    go_back(panel, 0)
    expect(panel.locator(".said")).to_have_text(re.compile("Step 1 of 200"))
    expect(panel.get_by_role("img", name=re.compile(r"score by step\. At 1: tarantula"))).to_be_visible()
    with save(page, panel.get_by_role("button", name="Save GIF")) as animation:
        assert animation.n_frames >= 5


@needs_browser
@pytest.mark.slow
def test_stop_is_no_error(page, monkeypatch):
    """However often and at whatever step a run is stopped, the page says what it showed last, and no error.

    Eight times: what a page takes for an error when it comes at a bad moment may come at a good one, too.
    """
    ended = watch_the_end(monkeypatch)
    panel = open_tab(page, "Dream")
    for step in range(1, 9):
        ended.clear()
        ended.begun.clear()
        panel.get_by_role("button", name="Start").click()
        assert ended.begun.wait(20)
        expect(panel.locator(".said")).to_have_text(re.compile(rf"Step ([{step}-9]|\d\d) of"))
        panel.get_by_role("button", name="Stop").click()
        assert ended.wait(20)
        expect(panel.get_by_role("slider", name="range slider for Back")).to_be_enabled()
        expect(panel.locator(".said")).to_be_visible()
        expect(panel.locator(".error").filter(visible=True)).to_have_count(0)


@needs_browser
@pytest.mark.slow
def test_work_ends_when_the_visitor_leaves(page, monkeypatch):
    """A closed page's run ends before its last step, and its frames are dropped."""
    ended, forgotten, forget = watch_the_end(monkeypatch), threading.Event(), Shelf.forget
    monkeypatch.setattr(Shelf, "forget", lambda *arguments: forget(*arguments) or forgotten.set())
    panel = open_tab(page, "Dream")
    panel.get_by_role("slider", name="range slider for Steps", exact=True).press("End")
    panel.get_by_role("button", name="Start").click()
    expect(panel.locator(".said")).to_have_text(re.compile(r"Step [2-9]"))
    page.close()
    assert ended.wait(20)
    assert ended.steps < 200
    assert forgotten.wait(20)


@needs_browser
@pytest.mark.slow
def test_who_waits_sees_the_place_in_the_queue(page, address, monkeypatch):
    """Four runs go on at once; the next visitor is told to be first of one in the queue, then gets a turn.

    Stop gives up the place.
    """
    begun, finish, steps = threading.Semaphore(0), threading.Event(), dream.class_visualization_steps

    def held(*arguments, **keywords):
        begun.release()
        finish.wait(30)
        return steps(*arguments, **{**keywords, "num_iterations": 3})

    monkeypatch.setattr(dream, "class_visualization_steps", held)
    with ThreadPoolExecutor(AT_ONCE) as others:
        for _ in range(AT_ONCE):
            others.submit(Visitor(address).trigger, "start-dream", "click")
        assert all(begun.acquire(timeout=20) for _ in range(AT_ONCE))
        panel = open_tab(page, "Dream")
        place = panel.get_by_text(re.compile("queue: 1/1")).filter(visible=True)
        panel.get_by_role("button", name="Start").click()
        expect(place.first).to_be_visible()
        panel.get_by_role("button", name="Stop").click()
        expect(place).to_have_count(0)
        panel.get_by_role("button", name="Start").click()
        expect(place.first).to_be_visible()
        finish.set()
        expect(panel.locator(".said")).to_have_text(re.compile(r"Step 3 of"))


def watch_the_end(monkeypatch):
    """Return an event, set when a class visualisation ends, however it does; its `.begun` when it begins."""
    ended, steps = threading.Event(), dream.class_visualization_steps
    ended.begun = threading.Event()

    def watched(*arguments, **keywords):
        ended.steps = 0
        ended.begun.set()
        try:
            for step in steps(*arguments, **keywords):
                ended.steps += 1
                yield step
        finally:
            ended.set()

    monkeypatch.setattr(dream, "class_visualization_steps", watched)
    return ended


@needs_browser
@pytest.mark.slow
def test_believe_shows_which_maps_change(page):
    """With all ten layers random the edge detector's map is as it was, the gradient's is not."""
    panel = open_tab(page, "Believe?")
    panel.get_by_label("guided backprop").uncheck()
    panel.get_by_role("button", name="Start").click()
    expect(panel.locator(".said")).to_have_text(re.compile("10 of 10 layers"))
    expect(panel.locator("figcaption").filter(has_text="edge detector")).to_have_text(re.compile("1.00"))
    gradient = panel.locator("figcaption").filter(has_text="gradient").inner_text()
    assert float(gradient.split()[-1].replace("−", "-")) < 0.5
    go_back(panel, 0)
    expect(panel.locator(".said")).to_have_text(re.compile("The trained network, which sees"))
    expect(panel.locator("figcaption").filter(has_text="gradient")).to_have_text(re.compile("1.00"))


@needs_browser
@pytest.mark.slow
def test_style_shows_its_steps(page):
    """The photograph changes in steps towards the drawing's style, until stopped."""
    panel = open_tab(page, "Style")
    panel.get_by_label("waves").check()
    panel.get_by_role("button", name="Start").click()
    expect(panel.locator(".said")).to_have_text(re.compile(r"Step [1-9]\d* of 200: the loss is [\d,]+"))
    expect(panel.get_by_alt_text("The drawing: waves")).to_be_visible()
    panel.get_by_role("button", name="Stop").click()
    go_back(panel, 0)
    expect(panel.locator(".said")).to_have_text(re.compile("Step 0 of 200"))


@needs_browser
@pytest.mark.slow
def test_phone_needs_no_scrolling_sideways_and_is_light(browser, address):
    """On a narrow screen everything is below each other, in each tab; dark on white even in dark mode."""
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    context = browser.new_context(**phone, color_scheme="dark")
    page = context.new_page()
    page.goto(address)
    for name in ("Look", "Fool", "Dream", "Believe?", "Style"):
        open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    open_tab(page, "Look").get_by_label("Two classes").check()
    figures = page.locator("#maps figure")
    expect(figures).to_have_count(3)
    one, other = (figures.nth(k).bounding_box() for k in (1, 2))
    assert (one["y"], one["width"]) == (other["y"], other["width"])
    expect(page.locator("body")).not_to_have_class(re.compile("dark"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    context.close()


@pytest.mark.slow
def test_ten_visitors_at_once_get_their_own_answers(address, model, photographs, sample):
    """Each has a photograph and a class of their own; bars and map are theirs, computed another way here."""
    labels = [7 * i for i in range(10)]

    def visit(i):
        visitor = Visitor(address)
        visitor.trigger("strip", "select", [], {"sample": i})
        return visitor.trigger("bars", "select", None, {"label": labels[i]})

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(visit, range(10)))
    X = photographs[0][:10]
    best = model.compute_scores(X).argsort(axis=1)[:, ::-1][:, :5]
    expected = ColorScale().overlay(sample[0][:10], compute_saliency_maps(X, labels, model), 0.6)
    for i, (bars, pictures, label) in enumerate(answers):
        assert [int(number) for number in re.findall(r'data-label="(\d+)"', bars)] == best[i].tolist()
        assert label is None  # it is kept on the server
        seen = list(pictures_in(pictures).values())
        # JPEG's losses, in levels of 255: five on average where single pixels glow.
        assert np.abs(seen[0].astype(float) - sample[0][i]).mean() < 6
        losses = [np.abs(seen[1].astype(float) - one).mean() for one in expected]
        assert losses[i] < 6
        assert np.argmin(losses) == i


@pytest.mark.slow
@hostile
def test_hostile_events_get_the_sentence_and_no_trace(address, content, sentence):
    """The same files, sent without the page."""
    with pytest.raises(RuntimeError, match=re.escape(sentence)) as caught:
        Visitor(address).trigger("strip", "upload", [], {"file": data_uri(content)})
    assert not TRACE.search(str(caught.value))


@pytest.mark.slow
def test_nonsense_events_get_a_sentence(address):
    """Labels, numbers and controls that the page would never send are refused in words."""
    visitor = Visitor(address)
    asked = visitor.values("bars", "select")
    for event_data in ({"label": 1000}, {"label": "tench"}, {"label": [1]}):
        with pytest.raises(RuntimeError, match="expected one class"):
            visitor.trigger("bars", "select", asked, event_data)
    for event_data in ({"sample": 20}, {"sample": -1}, {"sample": "0"}, {}, None, "x"):
        with pytest.raises(RuntimeError, match="no such sample photograph"):
            visitor.trigger("strip", "select", [], event_data)
    for event_data in (None, {}, {"file": ["/etc/passwd"]}, {"file": "<b>/etc/passwd</b>"}):
        with pytest.raises(RuntimeError, match="is no file"):
            visitor.trigger("strip", "upload", [], event_data)


@pytest.mark.slow
def test_an_error_of_the_program_tells_the_visitor_nothing(address, monkeypatch):
    """A bug is in the server's log; the page learns only that there is one."""

    def broken(*arguments):
        raise RuntimeError("secret of the server")

    monkeypatch.setattr("cs231n.demo.markup.bars", broken)
    with pytest.raises(RuntimeError) as caught:
        Visitor(address).trigger("bars", "select", None, {"label": 1})
    assert "secret" not in str(caught.value)
    assert not TRACE.search(str(caught.value))


def ask(address, method, path, body=None, headers=None):
    """Return status, headers and body of an answer; the path goes out as it is, dots and all."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=pyproject.toml",
        f"/gradio_api/file={Path(__file__)}",
        "/gradio_api/file=../../etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/file=/etc/passwd",
        "/assets/../../../../../../etc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/assets/%2e%2e/%2e%2e/blocks.py",
        "/static/../../blocks.py",
        "/static//etc/passwd",
        "/svelte/../../../../etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/gradio_api/custom_component/1/client/component/../../../../etc/passwd",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/gradio_api/runs",
        "/gradio_api/vibe-code/",
        "/gradio_api/deep_link",
        "/monitoring",
        "/docs",
        "/openapi.json",
    ],
)
def test_nothing_is_served_but_the_app(address, path):
    """Files of the computer, of the project and of Gradio, its logs and its proxy: none is to be had."""
    status, _, content = ask(address, "GET", path)
    assert status in (400, 403, 404), content[:200]
    assert b"root:" not in content
    assert b"import " not in content


@pytest.mark.slow
def test_files_cannot_be_left_on_the_server(address):
    """Gradio's own ways to upload are closed, and no request may be larger than a photograph."""
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/gradio_api/upload", "/gradio_api/process_recording", "/gradio_api/component_server"):
        assert ask(address, "POST", path, form, multipart)[0] == 404
    too_long = {"Content-Length": str(MAX_BODY + 1), "Content-Type": "application/json"}
    status, _, content = ask(address, "POST", "/gradio_api/queue/join", b"{", too_long)
    assert status == 413
    assert "larger than 20 MB" in json.loads(content)["detail"]


@pytest.mark.slow
def test_the_browser_is_told_to_ask_nobody_else(address):
    """The policy that goes with the page names no other address."""
    status, headers, content = ask(address, "GET", "/")
    assert status == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "http" not in headers["Content-Security-Policy"]
    assert b"fonts.googleapis" not in content


def test_teacher_is_warned_when_others_can_come_in(monkeypatch, capsys):
    """On an address that is not loopback, one line of warning; on loopback, the demo's address alone."""
    running = contextlib.nullcontext(SimpleNamespace(local_url="http://here/"))
    monkeypatch.setattr(server.SqueezeNet, "pretrained", lambda weights: contextlib.nullcontext())
    monkeypatch.setattr(server, "running", lambda model, host, port: running)
    monkeypatch.setattr(server.time, "sleep", Mock(side_effect=KeyboardInterrupt))
    server.serve("127.0.0.1", 7860)
    assert capsys.readouterr().out == "The demo is at http://here/ (Ctrl-C ends it)\n"
    server.serve("0.0.0.0", 7860)
    assert capsys.readouterr().out.startswith("Warning: on 0.0.0.0 everyone in the network can use the demo")


@pytest.mark.slow
def test_a_port_in_use_is_named(app, model):
    """A second demo on the same port is refused in one sentence."""
    second = server.running(model, port=app.server_port)
    with pytest.raises(OSError, match=f"port {app.server_port}: it is in use") as caught, second:
        pass
    assert "\n" not in str(caught.value)
