"""The panel in a real Chromium: picture, slider, face by file drop, panic, presets, two watchers, a restart, signing in
from another device, and axe-core."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from live.local_server.remote.password import Password
from live.panel import presets
from live.personas import SAMPLE_PORTRAITS
from live.personas.packs import user_packs
from tests.browsers import chromium
from tests.live.panel.conftest import live, sample_run, say, served, until

pytestmark = pytest.mark.long

GRAB = """id => {
  const canvas = document.getElementById(id);
  return document.getElementById("empty")?.hidden ? canvas.toDataURL("image/png").split(",")[1] : null;
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
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, ignore_https_errors=True
        )
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
    own.click("[aria-label='Remove my_friend']")
    own.click("[aria-label='Remove my_friend']:has-text('Delete?')")
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


def test_the_key_covers_in_a_dialog_too_and_leaves_it_open_until_all_is_covered(page, panel):
    own = page(panel.url)
    shown(own)
    own.evaluate("document.getElementById('keep').showModal()")
    own.locator("#keep-name").fill("half a name")
    own.keyboard.press("Escape")
    until(lambda: panel.show.state()["covered"])
    until(lambda: text(own, "phase") == "covered")
    assert own.locator("#keep-name").input_value() == "half a name"
    own.keyboard.press("Escape")  # now it does what it does elsewhere
    until(lambda: not own.locator("#keep").is_visible())
    assert panel.show.state()["covered"]
    own.click("#cover")
    shown(own)


@pytest.mark.parametrize(
    "focus", ["#preset-name", "#preset-form button", "#source", "[data-key='swappers.mesh.light']"]
)
def test_the_key_covers_wherever_the_focus_is(page, panel, focus):
    own = page(panel.url)
    shown(own)
    own.click("#presets summary") if "preset" in focus else own.click(
        "#tab-places" if focus == "#source" else "#tab-look"
    )
    own.locator(focus).focus()
    own.keyboard.press("Escape")
    until(lambda: panel.show.state()["covered"])
    say(panel, "POST", "cover", {"on": False})


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def slide(page, panel, key):
    """Move a slider to one of its ends; where it is then."""
    page.click("#tab-look")
    slider = page.locator("[data-key='swappers.mesh.light']")
    slider.press(key)
    value = float(slider.input_value())
    until(lambda: panel.show._loop.parts.swapper.swappers[0].light == value)
    return value


def test_a_preset_is_saved_put_on_replaced_and_deleted(page, panel, config):
    own, other = page(panel.url), page(panel.url, width=320)
    for each in (own, other):
        shown(each)
    slide(own, panel, "Home")
    own.click("#presets summary")
    own.fill("#preset-name", "dim light")  # a name for files has no space
    own.keyboard.press("Enter")
    until(lambda: "cannot be the name of a preset" in text(own, "preset-trouble"))
    own.fill("#preset-name", "dim")
    own.keyboard.press("Enter")
    dim = own.locator("#preset-list button", has_text="dim")
    dim.wait_for()
    assert presets.opened("dim").tree["swappers"]["mesh"]["light"] == 0
    bright = slide(own, panel, "End")
    until(lambda: dim.get_attribute("aria-pressed") == "false")
    loop = panel.show._loop
    other.click("#presets summary")  # another page has it too, and puts it on
    other.locator("#preset-list button", has_text="dim").click()
    until(lambda: panel.show._loop.parts.swapper.swappers[0].light == 0)
    assert panel.show._loop is loop
    for each in (own, other):
        until(lambda each=each: each.locator("[data-key='swappers.mesh.light']").input_value() == "0")
    slide(own, panel, "End")
    own.click("#presets summary")
    own.click("[aria-label^='Replace dim']")
    own.click("[aria-label^='Replace dim']:has-text('Replace?')")
    until(lambda: presets.opened("dim").tree["swappers"]["mesh"]["light"] == bright)
    own.click("[aria-label='Delete the preset dim']")
    own.click("[aria-label='Delete the preset dim']:has-text('Delete?')")
    until(lambda: presets.listed() == [] and own.locator("#preset-none").is_visible())


def test_what_it_starts_with_is_kept_by_a_tick_and_a_broken_preset_says_what_is_wrong(page, panel, config):
    own = page(panel.url)
    shown(own)
    presets.folder().mkdir(parents=True)
    (presets.folder() / "broken.toml").write_text("source = ")
    own.click("#presets summary")
    until(lambda: "the preset 'broken' is not TOML" in text(own, "preset-list"))
    own.check("#preset-next")
    until(lambda: presets.next_time().exists())
    assert presets.kept().face == panel.show.run.face
    own.uncheck("#preset-next")
    until(lambda: not presets.next_time().exists())


@pytest.fixture(scope="module")
def remote():
    """A live panel that other devices may reach, by way of 127.0.0.1."""
    with served(sample_run(), remote=True) as made:
        made.address = made.admit("127.0.0.1", 0, Password("correct horse battery"))
        made.show.start()
        live(made)
        yield made


def sign_in(page, words):
    page.fill("#password", words)
    page.click("#go")


def test_another_device_signs_in_sees_what_others_see_and_signs_out(page, remote):
    own, local = page(remote.address), page(remote.url)
    shown(local)
    sign_in(own, "not the password")
    until(lambda: text(own, "told") == "that is not the password")
    own.wait_for_timeout(1100)  # a try a second
    sign_in(own, "correct horse battery")
    own.locator("#gallery .face").first.wait_for()
    shown(own)
    assert not own.locator("#compare").is_visible() and local.locator("#compare").is_visible()
    assert own.evaluate("document.cookie") == ""
    own.keyboard.press("Escape")
    for each in (own, local):
        until(lambda each=each: text(each, "phase") == "covered")
    own.click("#cover")
    local.click("#tab-health")
    until(lambda: "wrong passwords" in text(local, "remote-facts"))
    own.reload()
    shown(own)
    own.click("#presets summary")
    own.click("#sign-out")
    own.locator("#password").wait_for()
    own.goto(remote.address)
    assert own.locator("#password").is_visible()


def test_who_is_signed_out_meanwhile_is_led_to_the_door(page, remote):
    remote._remote.tries._by.clear()
    own = page(remote.address)
    own.wait_for_timeout(1100)
    sign_in(own, "correct horse battery")
    own.locator("#gallery .face").first.wait_for()
    shown(own)
    remote._server.post(remote._remote._sessions.clear)
    own.click("#cover")
    own.locator("#password").wait_for()
    assert not remote.show.state()["covered"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1600])
def test_the_page_for_signing_in_has_no_serious_fault_of_accessibility(page, remote, width, scheme):
    look = eyes(page(remote.address, width, scheme), width)
    look()


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


def eyes(page, width):
    """Looks at what the page shows now: nothing sticks out, and axe-core finds no serious fault."""
    page.evaluate(
        Path(pytest.importorskip("axe_playwright_python").__file__).with_name("axe.min.js").read_text("utf-8")
    )

    def look():
        found = page.evaluate(
            "async () => (await axe.run()).violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html)])"
        )
        assert not [fault for fault in found if fault[0] in ("serious", "critical")]
        assert page.evaluate("document.documentElement.scrollWidth") == width

    return look


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1600])
def test_every_view_fits_and_has_no_serious_fault_of_accessibility(page, panel, width, scheme):
    own = page(panel.url, width, scheme)
    shown(own)
    look = eyes(own, width)
    for tab in ("faces", "places", "look", "health"):
        own.click(f"#tab-{tab}")
        look()
    own.click("#presets summary")
    own.wait_for_timeout(300)
    look()
    own.click("#presets summary")
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
