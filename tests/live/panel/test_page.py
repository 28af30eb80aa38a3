"""The panel in a real Chromium: picture, slider, face by file drop, panic, two watchers, a restart, and axe-core."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from live.personas import SAMPLE_PORTRAITS
from live.personas.packs import user_packs
from tests.browsers import chromium
from tests.live.panel.conftest import sample_run, served, until

pytestmark = pytest.mark.long

GRAB = """id => {
  const canvas = document.getElementById(id);
  return document.getElementById("empty").hidden ? canvas.toDataURL("image/png").split(",")[1] : null;
}"""
DROP = """async ([data, name]) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const dropped = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(dropped);
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser):
    """Opens pages; any error in their scripts and any request to another place fails the test."""
    errors, hosts, contexts = [], set(), []

    def open_page(url, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        made = context.new_page()
        made.on("pageerror", lambda error: errors.append(str(error)))
        made.on("console", lambda line: errors.append(line.text) if "Security Policy" in line.text else None)
        made.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
        made.goto(url, wait_until="commit")
        return made

    yield open_page
    for context in contexts:
        context.close()
    assert not errors and hosts <= {"127.0.0.1"}


def grab(page, id="after"):
    """What this canvas shows, as BGR u8; None where it shows nothing."""
    data = page.evaluate(GRAB, id)
    return None if data is None else cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def is_cover(image):
    return image is not None and len(np.unique(image.reshape(-1, 3), axis=0)) < 3000


def shown(page):
    """A picture that is none of the covers."""
    return until(lambda: None if (image := grab(page)) is None or is_cover(image) else (image,))[0]


def text(page, id):
    return page.locator(f"#{id}").inner_text()


@pytest.mark.parametrize(
    ("sink", "words"),
    [
        ("pipewire", "Now select doppelcam as the camera in your meeting program."),
        ("mjpeg:0", "Now add the address that Camera shows to OBS as a browser source."),
    ],
)
def test_a_first_run_goes_from_nothing_to_live_and_says_what_comes_next(page, sink, words, request):
    if sink == "pipewire":
        request.getfixturevalue("pipewire")
    with served(sample_run(sink=[sink])) as panel:
        first = page(panel.url)
        until(lambda: text(first, "phase") == "off")
        assert "First steps" in text(first, "guide")
        first.click("#go")
        assert shown(first).shape == (360, 640, 3)
        until(lambda: text(first, "phase") == "live")
        until(lambda: words in text(first, "guide"))
        first.click("#guide button")
        first.reload()
        until(lambda: text(first, "phase") == "live")
        assert not first.locator("#guide").is_visible()


def test_a_face_is_added_by_dropping_a_photo_and_worn(page, panel):
    own = page(panel.url)
    shown(own)
    photo = base64.b64encode((SAMPLE_PORTRAITS / "lena.jpg").read_bytes()).decode()
    own.evaluate(DROP, [photo, "my friend.jpg"])
    own.locator("#keep").wait_for(state="visible")
    assert own.input_value("#keep-name") == "my_friend"
    own.click("#keep-go")
    until(lambda: "Who allows you" in text(own, "keep-trouble"))
    own.check("input[value=synthetic]")
    own.click("#keep-go")
    card = own.locator(".face", has_text="my_friend")
    card.wait_for()
    assert user_packs().open("my_friend").disclosure == "synthetic"
    assert "until" in card.inner_text()
    card.click()
    until(lambda: (panel.show.state()["worn"] or {}).get("name") == "my_friend")
    until(lambda: card.get_attribute("aria-pressed") == "true")
    own.on("dialog", lambda dialog: dialog.accept())
    own.click("[aria-label='Remove my_friend']")
    card.wait_for(state="detached")
    assert user_packs().names() == []
    own.locator(".face", has_text="joel").click()
    until(lambda: (panel.show.state()["worn"] or {}).get("name") == "joel")


def test_a_photo_without_a_face_is_told(page, panel, tmp_path):
    own = page(panel.url)
    shown(own)
    cv2.imwrite(str(tmp_path / "wall.jpg"), np.full((300, 300, 3), 200, np.uint8))
    own.evaluate(DROP, [base64.b64encode((tmp_path / "wall.jpg").read_bytes()).decode(), "wall.jpg"])
    until(lambda: "no face was found in wall.jpg" in text(own, "trouble"))


def middle_colour(page):
    """The middle colour of the face's place, over two seconds."""
    images = [shown(page) for _ in range(10) if page.wait_for_timeout(200) is None]
    return np.mean([image[153:240, 287:353].mean((0, 1)) for image in images], 0)


def test_a_slider_moves_the_picture_while_it_runs(page, panel):
    own = page(panel.url)
    own.locator(".face", has_text="lena").click()
    until(lambda: (panel.show.state()["worn"] or {}).get("name") == "lena")
    loop = panel.show._loop
    own.click("#tab-look")
    seen = {}
    for key, value in (("Home", 0), ("End", 1)):
        own.locator("[data-key='swappers.mesh.light']").press(key)
        until(lambda value=value: loop.parts.swapper.swappers[0].light == value)
        seen[key] = middle_colour(own)
    assert np.abs(seen["Home"] - seen["End"]).max() > 8
    assert panel.show._loop is loop


def test_the_key_covers_everything_and_the_button_shows_it_again(page, panel):
    own, other = page(panel.url), page(panel.url, width=320)
    for each in (own, other):
        shown(each)
    own.keyboard.press("Escape")
    for each in (own, other):
        until(lambda each=each: is_cover(grab(each)))
        until(lambda each=each: text(each, "phase") == "covered")
    own.keyboard.press("Escape")  # pressed again in a panic it shows nothing
    assert panel.show.state()["covered"]
    other.click("#cover")
    for each in (own, other):
        shown(each)
        until(lambda each=each: text(each, "phase") == "live")


def test_two_watch_and_comparing_shows_the_camera_to_who_asked(page, panel):
    own, other = page(panel.url), page(panel.url)
    for each in (own, other):
        shown(each)
    assert not panel.watchers.wants("before")
    own.click("#compare")
    before = until(lambda: None if (image := grab(own, "before")).shape[1] != 640 else (image,))[0]
    assert not is_cover(before)
    assert not other.locator("#before-side").is_visible()
    own.click("#compare")
    until(lambda: not panel.watchers.wants("before"))


def test_it_comes_back_by_itself_after_a_restart(page):
    with served(sample_run()) as first:
        first.show.start()
        own = page(first.url)
        shown(own)
        port = int(first.url.split(":")[2].split("/")[0])
    until(lambda: "waits for it" in text(own, "empty"))
    assert own.locator("#go").is_disabled() and not own.evaluate("document.getElementById('empty').hidden")
    with served(sample_run(), port) as second:
        second.show.start()
        assert second.url == first.url
        shown(own)
        until(lambda: text(own, "phase") == "live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1600])
def test_every_view_fits_and_has_no_serious_fault_of_accessibility(page, panel, width, scheme):
    axe = Path(pytest.importorskip("axe_playwright_python").__file__).with_name("axe.min.js").read_text("utf-8")
    own = page(panel.url, width, scheme)
    shown(own)
    own.evaluate(axe)

    def look():
        found = own.evaluate(
            "async () => (await axe.run()).violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html)])"
        )
        assert not [fault for fault in found if fault[0] in ("serious", "critical")]
        assert own.evaluate("document.documentElement.scrollWidth") == width

    for tab in ("faces", "places", "look", "health"):
        own.click(f"#tab-{tab}")
        look()
    own.evaluate("document.getElementById('keep').showModal()")
    look()


def test_it_is_used_by_keys_alone(page, panel):
    own = page(panel.url)
    shown(own)
    own.locator("#tab-faces").focus()
    own.keyboard.press("ArrowRight")
    assert own.locator("#places").is_visible() and not own.locator("#faces").is_visible()
    own.keyboard.press("End")
    assert own.locator("#health").is_visible()
    assert own.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
