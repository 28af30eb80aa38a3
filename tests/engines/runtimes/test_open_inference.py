"""A remote model: what is asked while opening, what is sent, and every way in which a server can misbehave."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
import psutil
import pytest

from engines.address import Address
from engines.card import ModelCard
from engines.door import RUNTIMES, candidates, open_engine, open_variant
from engines.engine import Variant
from engines.errors import BadInput, EngineError, EngineLost, ModelError, NotAvailable

if (reason := RUNTIMES.why_not("open_inference")) is not None:
    pytest.skip(reason.message, allow_module_level=True)

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceServicer, add_GRPCInferenceServiceServicer_to_server

from engines.runtimes import open_inference


class OddServer(GRPCInferenceServiceServicer):
    """A server in this process whose model adds one to `x`, until `odd(request, context)` answers something else."""

    def __init__(self, credentials=None, port=0):
        self.live = self.ready = True
        self.inputs = [("x", "FP32", [1, 3])]
        self.outputs = [("y", "FP32", [1, 3])]
        self.odd = lambda request, context: None
        self.asked = lambda question: None
        self.requests, self.peers = [], []
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        add_GRPCInferenceServiceServicer_to_server(self, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()
        self.address = f"127.0.0.1:{self.port}"

    def stop(self):
        self._server.stop(None).wait()

    def ServerLive(self, request, context):  # noqa: N802
        self.asked("ServerLive")
        return pb.ServerLiveResponse(live=self.live)

    def ModelReady(self, request, context):  # noqa: N802
        self.asked("ModelReady")
        return pb.ModelReadyResponse(ready=self.ready)

    def ModelMetadata(self, request, context):  # noqa: N802
        self.asked("ModelMetadata")
        if request.name != "plus_one":
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model {request.name}")
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=request.name,
            inputs=[tensor(name=n, datatype=d, shape=s) for n, d, s in self.inputs],
            outputs=[tensor(name=n, datatype=d, shape=s) for n, d, s in self.outputs],
        )

    def ModelInfer(self, request, context):  # noqa: N802
        self.asked("ModelInfer")
        self.requests.append(request)
        self.peers.append(context.peer())
        return self.odd(request, context) or answer(np.frombuffer(request.raw_input_contents[0], np.float32) + 1)

    def links(self):
        """How many links to this server are open."""
        return sum(
            link.status == psutil.CONN_ESTABLISHED and link.laddr.port == self.port
            for link in psutil.Process().net_connections("tcp")
        )

    def left_alone(self):
        """No link is open, or none any more after a moment."""
        for _ in range(200):
            if self.links() == 0:
                return True
            threading.Event().wait(0.05)
        return False


def answer(y, name="y", datatype="FP32", shape=(1, 3), data=None):
    output = pb.ModelInferResponse.InferOutputTensor(name=name, datatype=datatype, shape=shape)
    raw = np.asarray(y, np.float32).tobytes() if data is None else data
    return pb.ModelInferResponse(outputs=[output], raw_output_contents=[raw])


@pytest.fixture
def server():
    made = OddServer()
    yield made
    made.stop()


@pytest.fixture
def card(tmp_path):
    return ModelCard(tmp_path, "plus_one", "test", {}, {}, "MIT", True, "test", {})


@pytest.fixture
def opened(card):
    """Opens engines and closes them."""
    engines = []

    def make(address, model=card):
        engines.append(open_variant(model, Variant("open_inference", address)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def x(*values):
    return {"x": np.array([values or (1, 2, 3)], np.float32)}


def works(engine, value=5.0):
    return engine.run(x(value, value, value))["y"].tolist() == [[value + 1] * 3]


# ---- what is asked and sent


def test_one_request_with_raw_contents_for_the_model_and_version_of_the_address(server, opened, tmp_path):
    other = ModelCard(tmp_path, "local_name", "test", {}, {}, "MIT", True, "test", {})
    engine = opened(f"{server.address}/plus_one@3", other)
    server.requests.clear()
    assert works(engine)
    (request,) = server.requests
    assert (request.model_name, request.model_version) == ("plus_one", "3")
    assert [(i.name, i.datatype, list(i.shape)) for i in request.inputs] == [("x", "FP32", [1, 3])]
    assert [len(raw) for raw in request.raw_input_contents] == [12]


def test_the_model_is_the_cards_where_the_address_names_none(server, opened):
    assert works(opened(server.address))
    assert {request.model_name for request in server.requests} == {"plus_one"}


def test_the_door_opens_it_by_its_address_and_never_by_itself(server, card):
    engine = open_engine(card, f"open_inference:{server.address}/plus_one?timeout_ms=5000", threads=1)
    assert works(engine)
    engine.close()
    assert RUNTIMES.load("open_inference").variants(card, 4) == []
    with suppress(NotAvailable):  # where nothing else is installed
        assert all(way.runtime != "open_inference" for way in candidates(card, "auto"))


def test_an_open_first_dimension_is_one_picture(server, opened):
    server.inputs, server.outputs = [("x", "FP32", [-1, 3])], [("y", "FP32", [-1, 3])]
    engine = opened(server.address)
    assert [spec.shape for spec in (*engine.inputs, *engine.outputs)] == [(1, 3), (1, 3)]
    assert works(engine)


def test_answers_can_be_written_to_and_are_not_changed_by_the_next(server, opened):
    engine = opened(server.address)
    first = engine.run(x(1, 1, 1))["y"]
    first += 1
    engine.run(x(7, 7, 7))
    assert first.tolist() == [[3, 3, 3]]


def test_proxies_of_the_environment_are_not_asked(server, opened, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert works(opened(server.address))


@pytest.mark.parametrize(("tls", "words"), [(False, "can be read on the way"), (True, "encrypted")])
def test_that_pictures_leave_this_machine_is_said(server, opened, monkeypatch, caplog, tls, words):
    monkeypatch.setattr(Address, "here", False)
    connect = open_inference._connect
    monkeypatch.setattr(open_inference, "_connect", lambda address: connect(Address(address.host, address.port)))
    with caplog.at_level(logging.INFO, "doppelcam.engines"):
        opened(f"{'grpcs' if tls else 'grpc'}://{server.address}")
    (record,) = caplog.records
    assert words in record.getMessage() and server.address in record.getMessage()
    assert record.levelno == (logging.INFO if tls else logging.WARNING)


def test_nothing_is_said_about_a_server_on_this_machine(server, opened, caplog):
    with caplog.at_level(logging.INFO, "doppelcam.engines"):
        opened(server.address)
    assert not caplog.records


def test_closing_closes_the_links_and_leaves_no_threads(server, card):
    threads = set(threading.enumerate())
    for _ in range(10):
        engine = open_variant(card, Variant("open_inference", server.address))
        assert server.links() == 1
        engine.close()
        engine.close()
    assert server.left_alone()
    left = set(threading.enumerate()) - threads
    assert all(thread.name.startswith("ThreadPoolExecutor") for thread in left)  # the server's


# ---- while opening


def test_a_port_where_nobody_listens_is_not_available(opened):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        with pytest.raises(NotAvailable, match="no model server answers") as caught:
            opened(f"127.0.0.1:{taken.getsockname()[1]}")
    assert "running" in caught.value.hint


def test_a_host_that_does_not_exist_is_not_available(opened, monkeypatch):
    monkeypatch.setattr(open_inference, "_OPEN_S", 2)
    with pytest.raises(NotAvailable, match=r"nowhere\.invalid"):
        opened("grpc://nowhere.invalid:8001")


def test_a_listener_that_never_says_a_word_is_not_waited_for(opened, monkeypatch):
    monkeypatch.setattr(open_inference, "_OPEN_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotAvailable, match="no model server"):
        opened(f"127.0.0.1:{silent.getsockname()[1]}")


def test_a_server_of_another_kind_is_not_available(opened, monkeypatch):
    monkeypatch.setattr(open_inference, "_OPEN_S", 2)

    def serve(listener):
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                link.recv(1000)
                link.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(NotAvailable, match="no model server answers"):
            opened(f"127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_grpc_server_of_another_kind_is_not_available(opened):
    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    with pytest.raises(NotAvailable, match="no model server answers"):
        opened(f"127.0.0.1:{port}")
    other.stop(None).wait()


def test_a_model_that_is_not_served_is_named(server, opened):
    with pytest.raises(ModelError, match="no model 'minus_one'") as caught:
        opened(f"{server.address}/minus_one")
    assert "/MODEL" in caught.value.hint


@pytest.mark.parametrize("question", ["ServerLive", "ModelMetadata", "ModelReady", "ModelInfer"])
def test_no_question_is_waited_for_without_an_end(server, opened, monkeypatch, question):
    monkeypatch.setattr(open_inference, "_OPEN_S", 0.5)
    go = threading.Event()
    server.asked = lambda name: go.wait(60) if name == question else None
    with pytest.raises((NotAvailable, EngineError)):
        opened(server.address)
    go.set()


@pytest.mark.parametrize("what", ["live", "ready"])
def test_a_server_that_is_not_ready_is_not_available(server, opened, what):
    setattr(server, what, False)
    with pytest.raises(NotAvailable, match="not ready"):
        opened(server.address)


@pytest.mark.parametrize(
    "tensor",
    [
        ("x", "FP32", [1, -1]), ("x", "FP32", [0, 3]), ("x", "BYTES", [1, 3]), ("x", "BF16", [1, 3]), ("x", "", [3]),
        ("x", "FP32", [-2]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_shapes_that_are_not_static_and_what_is_no_number_are_a_model_error(server, opened, side, tensor):
    setattr(server, side, [tensor])
    with pytest.raises(ModelError, match="static"):
        opened(server.address)
    assert not server.requests


def test_tensors_beyond_all_reason_are_a_model_error(server, opened):
    server.outputs = [("y", "FP32", [1 << 20, 1 << 40])]
    with pytest.raises(ModelError, match="larger"):
        opened(server.address)


def test_answers_are_checked_before_anything_is_live_and_the_link_is_closed(server, opened):
    server.outputs = [("y", "FP32", [1, 4])]
    with pytest.raises(EngineError, match=r"promised y: float32\[1, 4\]"):
        opened(server.address)
    assert server.left_alone()


def test_no_engine_comes_of_a_wrong_address(opened):
    with pytest.raises(BadInput, match="another machine"):
        opened("10.1.2.3:8001")


def test_a_precision_cannot_be_asked_for(server, card):
    with pytest.raises(NotAvailable, match="int8"):
        open_engine(card, f"open_inference:{server.address}:int8")


# ---- while running


def once(response):
    """Odd for one request."""
    left = [response]
    return lambda request, context: left.pop() if left else None


WRONG = {
    "nothing": pb.ModelInferResponse(),
    "another name": answer([1, 2, 3], name="z"),
    "another shape": answer([1, 2, 3], shape=[3, 1]),
    "more of it": answer([1, 2, 3, 4, 5, 6], shape=[2, 3]),
    "another type": answer([1, 2, 3], datatype="INT32"),
    "too short": answer([1, 2]),
    "too long": answer([1, 2, 3, 4]),
    "empty": answer([], data=b""),
    "not raw": pb.ModelInferResponse(outputs=answer([1]).outputs),
    "negative": answer([1, 2, 3], shape=[-1, -3]),
}


@pytest.mark.parametrize("response", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_an_engine_error_and_the_next_right_one_is_taken(server, opened, response):
    engine = opened(f"{server.address}?timeout_ms=10000")
    server.odd = once(response)
    with pytest.raises(EngineError) as caught:
        engine.run(x())
    assert not isinstance(caught.value, EngineLost)
    assert works(engine)


def test_an_answer_beyond_all_reason_is_not_even_received(server, opened):
    engine = opened(f"{server.address}?timeout_ms=10000")
    server.odd = once(answer([], data=bytes(open_inference._MOST_BYTES + 1000)))
    with pytest.raises(EngineError, match="larger than max"):
        engine.run(x())
    assert works(engine)


def test_outputs_may_come_in_any_order_and_with_others(server, opened):
    extra = answer([9, 9, 9], name="extra")

    def both(request, context):
        right = answer(np.frombuffer(request.raw_input_contents[0], np.float32) + 1)
        extra.outputs.extend(right.outputs)
        extra.raw_output_contents.extend(right.raw_output_contents)
        return extra

    engine = opened(server.address)
    server.odd = once_called(both)
    assert works(engine)


def once_called(function):
    left = [function]
    return lambda request, context: left.pop()(request, context) if left else None


def failing(code, words="out of order", times=1):
    left = [None] * times

    def odd(request, context):
        if left:
            left.pop()
            context.abort(code, words)

    return odd


def test_what_the_server_says_of_its_failure_is_told_on_one_short_line(server, opened):
    engine = opened(server.address)
    server.requests.clear()
    server.odd = failing(grpc.StatusCode.INTERNAL, "CUDA\nerror \x1b[31m" + "x" * 5_000)  # gRPC drops some beyond 8 kB
    with pytest.raises(EngineError, match=r"failed: CUDA error \[31mxxx") as caught:
        engine.run(x())
    assert not isinstance(caught.value, EngineLost)
    assert caught.value.message.isprintable() and len(caught.value.message) < 300
    assert len(server.requests) == 1
    assert works(engine)


def test_unavailable_is_tried_once_more_on_a_fresh_channel(server, opened):
    engine = opened(server.address)
    server.requests.clear()
    server.odd = failing(grpc.StatusCode.UNAVAILABLE)
    assert works(engine)
    assert len(server.requests) == 2 and server.requests[0] == server.requests[1]
    assert server.peers[-1] != server.peers[-2]


def test_unavailable_twice_means_lost_and_is_not_tried_a_third_time(server, opened):
    engine = opened(server.address)
    server.requests.clear()
    server.odd = failing(grpc.StatusCode.UNAVAILABLE, times=2)
    with pytest.raises(EngineLost, match="went away"):
        engine.run(x())
    assert len(server.requests) == 2
    assert works(engine)


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED], ids=lambda code: code.name)
def test_a_model_that_is_taken_away_means_lost(server, opened, code):
    engine = opened(server.address)
    server.requests.clear()
    server.odd = failing(code)
    with pytest.raises(EngineLost):
        engine.run(x())
    assert len(server.requests) == 1


def test_a_server_that_ended_means_lost(server, opened):
    engine = opened(server.address)
    server.stop()
    for _ in range(3):
        with pytest.raises(EngineLost, match=server.address):
            engine.run(x())


def test_a_server_that_was_started_again_is_found_at_once_whatever_other_engines_know_of_it(server, opened):
    engines = [opened(server.address) for _ in range(2)]
    server.stop()
    for engine in engines:
        with pytest.raises(EngineLost):
            engine.run(x())
    again = OddServer(port=server.port)
    for engine in engines:
        assert works(engine)
    again.stop()


class Late:
    """Answers only when `go` is set; `cancelled` when the client gave the request up."""

    def __init__(self, times):
        self.left, self.go, self.cancelled = times, threading.Event(), threading.Event()

    def __call__(self, request, context):
        if self.left:
            self.left -= 1
            context.add_callback(lambda: self.cancelled.set() if not self.go.is_set() else None)
            self.go.wait(20)


def hurry(engine, timeout_ms):
    engine._address = replace(engine._address, timeout_ms=timeout_ms)


def test_a_late_answer_fails_its_frame_is_cancelled_and_never_taken_for_the_next_one(server, opened):
    engine = opened(f"{server.address}?timeout_ms=100")
    late = server.odd = Late(times=1)
    with pytest.raises(EngineError, match="in time") as caught:
        engine.run(x(1, 1, 1))
    assert not isinstance(caught.value, EngineLost) and "timeout_ms" in caught.value.hint
    assert late.cancelled.wait(10)
    late.go.set()
    hurry(engine, 10_000)
    assert works(engine, 2.0)


def test_three_late_answers_in_a_row_mean_lost_and_a_good_one_starts_anew(server, opened):
    engine = opened(server.address)
    kinds = []
    for times in (2, 3):
        late = server.odd = Late(times)
        hurry(engine, 50)
        for _ in range(times):
            with pytest.raises(EngineError) as caught:
                engine.run(x())
            kinds.append(type(caught.value))
        late.go.set()
        hurry(engine, 10_000)
        assert works(engine)
    assert kinds == [EngineError, EngineError, EngineError, EngineError, EngineLost]


# ---- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for localhost that signs itself, and its key, as files in PEM."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed; it makes the certificates of these tests")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "30", "-subj", "/CN=doppelcam test", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out",
         "ca.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def secure(authority):
    pair = [(authority / "key.pem").read_bytes(), (authority / "ca.pem").read_bytes()]
    made = OddServer(grpc.ssl_server_credentials([pair]))
    yield made
    made.stop()


def test_an_encrypted_link_to_a_server_that_proves_its_name(secure, authority, opened):
    assert works(opened(f"grpcs://localhost:{secure.port}/plus_one?ca={authority / 'ca.pem'}"))


@pytest.mark.parametrize(
    "link",
    ["grpcs://localhost:{port}", "grpcs://127.0.0.1:{port}?ca={ca}", "localhost:{port}", "grpcs://localhost:{port}?ca={key}"],
    ids=["authority unknown", "another name", "plain", "no certificates in the file"],
)  # fmt: skip
def test_a_server_that_cannot_be_trusted_is_fed_nothing(secure, authority, opened, monkeypatch, link):
    monkeypatch.setattr(open_inference, "_OPEN_S", 2)
    with pytest.raises(NotAvailable, match="no model server answers"):
        opened(link.format(port=secure.port, ca=authority / "ca.pem", key=authority / "key.pem"))
    assert not secure.requests


def test_certificates_that_cannot_be_read_are_named(secure, opened):
    with pytest.raises(BadInput, match=r"nothing\.pem cannot be read"):
        opened(f"grpcs://localhost:{secure.port}?ca=/nothing.pem")
