"""The calls as one table: README and openapi.json say the same, and whatever is sent, no answer is an error of ours."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from websockets.sync.client import connect

from live.panel.server import Panel
from live.personas import SAMPLE_PORTRAITS
from tests.live.panel.conftest import SOON_S, sample_run, say, served

CALLS = Panel(sample_run()).calls()
README = Path(__file__).parents[3] / "README.md"
FIRED = [call for call in CALLS if call.path != "doctor"]  # which examines this computer for seconds


@pytest.fixture(scope="module")
def document(idle):
    return say(idle, "GET", "openapi.json")[1]


def test_the_document_is_openapi_and_has_every_call(document):
    validate(document)
    found = {(method.upper(), path) for path, held in document["paths"].items() for method in held}
    assert found == {(call.method, f"/{call.path}") for call in CALLS}


def test_the_readme_has_every_call_in_the_same_words():
    text = README.read_text("utf-8")
    for call in CALLS:
        path = call.path + (f"?{call.asks}=..." if call.asks else "")
        body = (
            f"`{call.example}`" if call.example else "the bytes of a picture" if call.body != "application/json" else ""
        )
        assert f"| `{call.method} {path}` | {body} | {call.what} |" in text


def test_examples_are_what_the_calls_take():
    for call in CALLS:
        if call.example:
            assert call.check(json.loads(call.example))


@pytest.mark.parametrize(
    ("call", "body", "words"),
    [
        ("cover", {}, "cover needs on"),
        ("cover", {"on": 1}, "on is true or false"),
        ("cover", {"no": True}, "cover does not take 'no'"),
        ("start", {"sinks": "virtual"}, "sinks is a list of texts"),
        ("start", {"sinks": [1]}, "sinks is a list of texts"),
        ("presets", {"nam": "x"}, "presets does not take 'nam'"),
        ("wear", {"face": None}, "face is a text"),
        ("stop", {"now": True}, "stop does not take 'now'"),
        ("stop", [], "expected a JSON object"),
    ],
)
def test_a_body_that_is_wrong_is_told_in_one_line(idle, call, body, words):
    status, told = say(idle, "POST", call, body)
    assert (status, told["message"]) == (400, words) and isinstance(told["hint"], str)


# ---- the secret in a header


def bare(panel, path, secret="", method="GET", **headers):
    """A request at the address without the secret."""
    url, own = panel.url.rstrip("/").rsplit("/", 1)
    headers = {"authorization": secret or f"Bearer {own}"} | headers
    return httpx.request(method, f"{url}/{path}", headers=headers, timeout=SOON_S)


def test_a_program_may_send_the_secret_in_a_header(idle):
    assert bare(idle, "state").json()["phase"] == "off"
    assert "<title>doppelcam</title>" in bare(idle, "").text
    url, own = idle.url.replace("http", "ws").rstrip("/").rsplit("/", 1)
    with connect(f"{url}/live", additional_headers={"authorization": f"Bearer {own}"}) as talk:
        assert '"phase"' in talk.recv(10)


@pytest.mark.parametrize("secret", ["Bearer x", "Bearer", "Bearer \u00e9", "bearer " + "x" * 22, "Basic eDp5"])
def test_another_one_is_refused(idle, secret):
    answer = bare(idle, "state", secret.encode())
    assert answer.status_code == (404 if secret.startswith("Basic") else 401) and "phase" not in answer.text


def test_the_header_opens_nothing_to_other_pages_and_names(idle):
    assert bare(idle, "state", origin="https://evil.example").status_code == 403
    assert bare(idle, "state", host="evil.example").status_code == 421
    asked = bare(idle, "cover", method="OPTIONS", origin="https://evil.example")  # what a browser asks before it sends
    assert asked.status_code == 403 and "access-control-allow-headers" not in asked.headers


# ---- generated requests


def values(schema, faces):
    """What fits this schema, and now and then what does not."""
    kinds = {
        "string": st.text(max_size=20) | st.sampled_from([*faces, "sample", "browser", "late", "../x", "synthetic"]),
        "boolean": st.booleans(),
        "number": st.floats() | st.integers(),
        "object": st.just({}),
    }
    types = schema.get("type", "object")
    fits = [
        st.lists(values(schema["items"], faces), max_size=3) if kind == "array" else kinds[kind]
        for kind in ([types] if isinstance(types, str) else types)
    ]
    odd = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=2)
    return st.one_of(*fits, *fits, *fits, odd)


def bodies(schema, keys):
    """Objects with members that the schema knows, some of them missing, some unknown; rarely no object at all."""
    known = {key: values(one, ["sample:joel", "sample:nia"]) for key, one in schema.get("properties", {}).items()}
    further = st.dictionaries(
        st.sampled_from(keys) | st.text(max_size=8), values(schema["additionalProperties"] or {}, []), max_size=3
    )
    objects = st.fixed_dictionaries({}, optional=known)
    if schema["additionalProperties"] or not known:
        objects = st.builds(lambda one, other: one | other, objects, further)
    return objects | st.none() | st.lists(st.integers(), max_size=2)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("call", FIRED, ids=lambda call: f"{call.method} {call.path}")
def test_no_generated_request_is_answered_with_an_error_of_ours(call, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    with served(sample_run()) as panel:
        document = say(panel, "GET", "openapi.json")[1]
        groups = say(panel, "GET", "choices")[1]["settings"]
        operation = document["paths"][f"/{call.path}"][call.method.lower()]
        content = operation.get("requestBody", {}).get("content", {})
        if "application/octet-stream" in content:
            body = st.binary(max_size=200) | st.just((SAMPLE_PORTRAITS / "nia.jpg").read_bytes())
        elif content:
            keys = [one["key"] for group in groups for one in group["controls"]]
            body = bodies(content["application/json"]["schema"], keys).map(lambda it: json.dumps(it).encode())
        else:
            body = st.just(b"")
        asked = st.text(max_size=20) | st.sampled_from(["sample:joel", "x.jpg"])

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(body=body, asked=asked)
        def fire(body, asked):
            query = {call.asks: asked} if call.asks else None
            answer = httpx.request(call.method, panel.url + call.path, content=body, params=query, timeout=SOON_S)
            assert str(answer.status_code) in operation["responses"]
            if answer.status_code == 400:
                assert set(answer.json()) == {"message", "hint"} and answer.json()["message"]

        fire()
        assert say(panel, "GET", "state")[0] == 200
