"""`doppelcam models` as a user runs it: listed, asked, added, pulled from a real server, checked and removed."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import live.catalogue
from engines.door import open_engine
from engines.errors import BadInput, DoppelcamError, ModelError, NotAvailable
from engines.store import user_store
from live.catalogue import catalogue
from live.cli import app, models
from live.models import open_card, shipped, shipped_names
from tests.command import doppelcam
from tests.foreign_nets import EMAP, FOREIGN, foreign, net
from tests.personal_nets import known_looks, make_personal

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch, tmp_path):
    for name in ("DATA", "STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(models.out, "width", 200)


@pytest.fixture
def run():
    """Run `doppelcam models ...`; errors come through as they were raised."""

    def run(*args, answer=None):
        done = CliRunner().invoke(app, ["models", *map(str, args)], input=answer)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


@pytest.fixture
def terminal(monkeypatch):
    """As if somebody sat there; CliRunner puts its own text in place of stdin."""
    monkeypatch.setattr(models, "asks", lambda: True)


def put(tmp_path, file_name):
    path = tmp_path / file_name
    path.write_bytes(foreign(file_name))
    return path


def test_a_foreign_file_is_looked_at_added_as_it_is_and_listed(run, tmp_path):
    run("add", put(tmp_path, "inswapper_128.onnx"))
    card = user_store().card("inswapper_128")
    assert (card.family, card.trusted) == ("inswapper", False)
    assert card.read("onnx") == foreign("inswapper_128.onnx")
    assert "inswapper_128" in run("list").stdout
    run("check")


@pytest.mark.parametrize("file_name", ["uniface_256.onnx", "somebody_amp.dfm", "det_10g.onnx", "w600k_r50.onnx"])
def test_what_was_added_runs_also_where_sizes_were_open(run, tmp_path, file_name):
    run("add", put(tmp_path, file_name))
    card = open_card(Path(file_name).stem)
    assert card.family == FOREIGN[file_name][0]
    engine = open_engine(card, "onnx_runtime")
    answer = engine.run({spec.name: np.full(spec.shape, 0.5, spec.dtype) for spec in engine.inputs})
    engine.close()
    assert {spec.name for spec in engine.inputs} == set(card.facts["inputs"].values())
    assert set(answer) == set(FOREIGN[file_name][2])


def test_what_was_changed_is_told_on_the_card(run, tmp_path):
    told = run("add", put(tmp_path, "somebody.dfm")).stderr
    assert "leaves open" in told
    tree = json.loads((user_store().folder("somebody") / "card.json").read_text())
    assert tree["source_sha256"] == hashlib.sha256(foreign("somebody.dfm")).hexdigest()
    assert tree["sha256"]["somebody.dfm"] != tree["source_sha256"]


def test_an_inswapper_brings_its_matrix(run, tmp_path):
    run("add", put(tmp_path, "inswapper_128.onnx"), "--name", "mine", "--licence", "bought")
    card = user_store().card("mine")
    np.testing.assert_array_equal(np.load(io.BytesIO(card.read_file("emap.npy")), allow_pickle=False), EMAP)
    assert (card.licence, card.commercial_use) == ("bought", False)


def test_an_insightface_pack_is_added_as_far_as_it_is_known(run, tmp_path):
    pack = tmp_path / "buffalo_l"
    pack.mkdir()
    for file_name in ("det_10g.onnx", "w600k_r50.onnx"):
        (pack / file_name).write_bytes(foreign(file_name))
    (pack / "2d106det.onnx").write_bytes(net({"data": (1, 3, 192, 192)}, {"fc1": (1, 212)}))
    done = run("add", pack)
    assert user_store().names() == ["arcface_w600k_r50", "scrfd_10g"]
    assert "added scrfd_10g: scrfd" in done.stderr and "left out 2d106det.onnx: " in done.stderr
    assert "scrfd_10g is installed already" in run("add", pack).stderr
    with pytest.raises(BadInput, match="holds several models"):
        run("add", pack, "--name", "mine")
    (other := tmp_path / "other").mkdir()
    (pack / "2d106det.onnx").rename(other / "2d106det.onnx")
    with pytest.raises(ModelError, match="nothing in"):
        run("add", other)


def test_a_model_folder_is_added_and_its_card_believed(run, tmp_path):
    run("add", put(tmp_path, "ghost_2_256.onnx"))
    folder = user_store().folder("ghost_2_256")
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    run("add", moved, "--name", "again")
    assert json.loads((user_store().folder("again") / "card.json").read_text())["facts"]["template"] == "arcface_112_v1"
    with pytest.raises(BadInput, match="the card in"):
        run("add", moved, "--licence", "MIT")
    with pytest.raises(BadInput, match="there is no model 'gone'") as caught:
        open_card("gone")
    assert "again" in caught.value.hint


def test_a_strangers_card_cannot_spoil_the_list(run, tmp_path):
    run("add", put(tmp_path, "uniface_256.onnx"))
    folder = user_store().folder("uniface_256")
    tree = json.loads((folder / "card.json").read_text())
    tree |= {"licence": "[red]MIT[/red", "facts": {"needs": 5, "kind": ["x"]}}
    (folder / "card.json").write_text(json.dumps(tree))
    assert "[red]MIT[/red" in run("list").stdout


def test_a_model_that_ships_is_not_shadowed(run, tmp_path):
    with pytest.raises(BadInput, match="comes with doppelcam"):
        run("add", put(tmp_path, "uniface_256.onnx"), "--name", "Face_Mesh")
    with pytest.raises(BadInput, match="comes with doppelcam"):
        run("add", shipped("iris").folder)
    assert not set(shipped_names()) & set(catalogue())


def test_a_file_that_could_be_two_things_is_asked_for(run, tmp_path):
    path = put(tmp_path, "hyperswap_1a_256.onnx").rename(tmp_path / "model.onnx")
    with pytest.raises(BadInput, match="several kinds"):
        run("add", path)
    run("add", path, "--family", "hyperswap")
    assert user_store().card("model").family == "hyperswap"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("page.onnx", b"<!doctype html><html>", "web page"),
        ("text.onnx", b"hello", "text"),
        ("empty.onnx", b"", "empty"),
        ("other.onnx", net({"x": (1, 3)}, {"y": (1, 3)}), "of no kind that is known"),
        ("cut.onnx", foreign("uniface_256.onnx")[:-30], "damaged"),
    ],
)
def test_what_is_no_known_model_is_not_added(run, tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match=words):
        run("add", tmp_path / name)
    assert user_store().names() == []


def test_a_damaged_model_is_named_and_can_be_removed(run, tmp_path):
    run("add", put(tmp_path, "uniface_256.onnx"))
    file = user_store().folder("uniface_256") / "uniface_256.onnx"
    file.write_bytes(file.read_bytes() + b"!")
    done = doppelcam("models", "check", cwd=ROOT, columns=200)
    assert done.returncode == 2
    assert "changed" in done.stdout
    assert done.stderr.splitlines()[0].startswith("error: not as they were when they were added: uniface_256")
    (file.parent / "card.json").write_text("{")
    assert "uniface_256 is broken: " in run("list").stdout
    with pytest.raises(ModelError, match="uniface_256"):
        run("check")
    run("remove", "uniface_256", "--yes")
    assert user_store().names() == []
    assert "no models" in run("check").stdout


def test_removing_asks_first(run, tmp_path, terminal):
    run("add", put(tmp_path, "uniface_256.onnx"))
    assert run("remove", "uniface_256", answer="n\n").exit_code == 1
    assert user_store().names() == ["uniface_256"]
    run("remove", "uniface_256", answer="y\n")
    assert user_store().names() == []


def test_without_a_terminal_nothing_is_removed_or_accepted_unasked(tmp_path):
    (tmp_path / "uniface_256.onnx").write_bytes(foreign("uniface_256.onnx"))
    assert doppelcam("models", "add", tmp_path / "uniface_256.onnx", cwd=ROOT).returncode == 0
    for args, words in (
        (["remove", "uniface_256"], "--yes"),
        (["pull", "inswapper_128"], "--accept-licence"),
        (["pull", "dfm"], "models add FILE"),
        (["pull", "inswaper_128"], "did you mean 'inswapper_128'"),
        (["add", "gone.onnx"], "there is no file gone.onnx"),
        (["remove", "gone"], "installed are: uniface_256"),
    ):
        done = doppelcam("models", *args, cwd=ROOT)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert user_store().names() == ["uniface_256"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_fits_the_terminal(run, monkeypatch, width):
    narrow = Console(width=width, highlight=False)
    monkeypatch.setattr(models, "out", narrow)
    with narrow.capture() as shown:
        models.list_models()
    lines = shown.get().splitlines()
    table = lines[: lines.index("")]
    assert all(len(line) <= width for line in table)
    for entry in catalogue().values():
        (line,) = (line for line in table if line.split()[:1] == [entry.name])
        assert entry.kind in line and (" yes " if entry.commercial_use else " no ") in line
    assert any(line.startswith("face_mesh") and "shipped" in line for line in table)


@pytest.fixture
def pullable(monkeypatch, tmp_path):
    """A catalogue of models that lie on a server on this machine, by name; `served` is what it sends."""
    monkeypatch.setenv("NO_PROXY", "*")
    served: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            data = served.get(self.path[1:])
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    entries = dict(catalogue())

    def offer(name, file_name, data, **changes):
        served[file_name] = data
        url = f"http://127.0.0.1:{server.server_address[1]}/{file_name}"
        entries[name] = replace(entries[name], url=url, **{"sha256": "", "size": 0, **changes})

    for module in (live.catalogue, models):
        monkeypatch.setattr(module, "catalogue", lambda: entries)
    yield offer
    server.shutdown()
    server.server_close()


def test_a_free_model_is_pulled_without_a_question_and_its_checksum_pinned(run, pullable):
    data = foreign("ghost_2_256.onnx")
    pullable("ghost_2_256", "ghost_2_256.onnx", data)
    told = run("pull", "ghost_2_256").stderr
    sha256 = hashlib.sha256(data).hexdigest()
    assert "no checksum of ghost_2_256 is known" in told and sha256 in told
    assert "needs besides: arcface_w600k_r50, crossface_ghost" in told
    card = user_store().card("ghost_2_256")
    assert (card.sha256["ghost_2_256.onnx"], card.licence, card.commercial_use) == (sha256, "Apache-2.0", True)
    assert "ghost_2_256 needs besides: arcface_w600k_r50, crossface_ghost" in run("list").stdout
    with pytest.raises(BadInput, match="installed already"):
        run("pull", "ghost_2_256")
    assert not [path for path in (user_store().root / ".downloads").iterdir() if path.suffix != ".lock"]


def test_a_licence_is_asked_for_before_anything_is_fetched(run, pullable, terminal):
    data = foreign("inswapper_128.onnx")
    pullable("inswapper_128", "inswapper_128.onnx", data, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    refused = run("pull", "inswapper_128", answer="n\n")
    assert refused.exit_code == 1 and "non-commercial (InsightFace)" in refused.stderr
    assert not user_store().root.exists()
    run("pull", "inswapper_128", answer="y\n")
    assert not user_store().card("inswapper_128").commercial_use


def test_a_file_with_another_checksum_is_not_added(run, pullable):
    pullable("inswapper_128", "inswapper_128.onnx", foreign("inswapper_128.onnx"), sha256="0" * 64)
    with pytest.raises(ModelError, match="not the file that is expected"):
        run("pull", "inswapper_128", "--accept-licence")
    assert user_store().names() == []


def test_a_file_of_another_kind_is_not_added(run, pullable):
    pullable("xseg_1", "xseg_1.onnx", foreign("uniface_256.onnx"))
    with pytest.raises(DoppelcamError, match="is no 'xseg'"):
        run("pull", "xseg_1")
    assert user_store().names() == []


def test_a_model_that_has_moved_is_told(run, pullable):
    pullable("xseg_1", "xseg_1.onnx", b"")
    entry = models.catalogue()["xseg_1"]
    models.catalogue()["xseg_1"] = replace(entry, url=entry.url.replace("xseg_1", "gone"))
    with pytest.raises(NotAvailable, match="404"):
        run("pull", "xseg_1")


def packed(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in files.items():
            pack.writestr(name.replace("__", "/") + ".onnx", content)
    return data.getvalue()


def test_a_pack_brings_its_models_under_their_own_names(run, pullable):
    files = {"det_10g": foreign("det_10g.onnx"), "w600k_r50": foreign("w600k_r50.onnx"), "genderage": b"not wanted"}
    pullable("buffalo_l", "buffalo_l.zip", packed(**files))
    run("pull", "buffalo_l", "--accept-licence")
    assert user_store().names() == ["arcface_w600k_r50", "scrfd_10g"]
    assert user_store().card("scrfd_10g").family == "scrfd"


@pytest.mark.parametrize("pack", [b"PK no zip", packed(w600k_r50=b""), packed(a__det_10g=b"", b__det_10g=b"")])
def test_a_pack_without_what_it_should_hold(run, pullable, pack):
    pullable("buffalo_l", "buffalo_l.zip", pack)
    with pytest.raises(ModelError, match=r"buffalo_l\.zip"):
        run("pull", "buffalo_l", "--accept-licence")
    assert user_store().names() == []
    assert not [path for path in (user_store().root / ".downloads").iterdir() if path.suffix != ".lock"]


def test_a_personal_engine_is_listed_as_one(run, portrait, tmp_path):
    run("add", make_personal(tmp_path / "worn", known_looks(portrait)))
    (line,) = (line for line in run("list").stdout.splitlines() if line.startswith("worn "))
    assert "personal" in line and "trained" not in line
