"""A model on a server, asked over gRPC by the Open Inference Protocol: Triton, OpenVINO Model Server, KServe, MLServer.

Protocol: https://github.com/kserve/open-inference-protocol. Whatever the model is fed is sent to that server.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any, ClassVar

import grpc
import numpy as np
import tritonclient.grpc as triton

from engines.address import Address, read_address
from engines.card import ModelCard
from engines.engine import Array, Engine, TensorSpec, Variant, check_feeds
from engines.errors import BadInput, DoppelcamError, EngineError, EngineLost, ModelError, NotAvailable

_DTYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
_WORDS = {np.dtype(dtype): word for word, dtype in _DTYPES.items()}

_OPEN_S = 10.0  # for everything that is asked while opening; a server's first answer can take seconds
_LATE_IN_A_ROW = 3  # so many late answers mean that the server is gone
_MOST_BYTES = 64 << 20  # no model of live video answers more: what is longer is not even received
_LONGEST_WORDS = 200  # of what the server says

_UNAVAILABLE, _LATE = str(grpc.StatusCode.UNAVAILABLE), str(grpc.StatusCode.DEADLINE_EXCEEDED)
_NOT_FOUND = str(grpc.StatusCode.NOT_FOUND)
_GONE = (_UNAVAILABLE, _NOT_FOUND, str(grpc.StatusCode.CANCELLED))

_log = logging.getLogger("doppelcam.engines")


class OpenInference(Engine):
    """Engine over one gRPC channel. `variant.device` is the address (engines/address.py); the model is the card's
    where the address names none. Precision and threads are the server's own business.

    One request at a time. An answer that is not there in time is given up and its request cancelled (EngineError), so
    that stale ones never queue up. EngineLost: the server went away, or was late three times in a row.
    """

    devices: ClassVar[tuple[str, ...]] = ()

    def __init__(self, card: ModelCard, variant: Variant) -> None:
        self._address = read_address(variant.device)
        if variant.precision != "fp32":
            raise NotAvailable(
                f"a server's model cannot be asked for {variant.precision}", hint="name a model that is served in it"
            )
        self.variant = variant
        self._name = self._address.model or card.name
        self._late = 0
        self._client = _connect(self._address)
        end = time.monotonic() + _OPEN_S
        try:
            self.inputs, self.outputs = self._signature(end)
            # The first answer is slow on many servers, and one that is not as promised must not be found out live.
            self._ask({spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.inputs}, end)
        except DoppelcamError:
            self.close()
            raise
        if not self._address.here:
            tell = _log.info if self._address.tls else _log.warning
            how = "encrypted" if self._address.tls else "and can be read on the way"
            tell("what %s is fed is sent to %s, %s", card.name, self._address, how)

    @staticmethod
    def variants(card: ModelCard, cores: int) -> list[Variant]:  # noqa: ARG004
        """None: nothing is sent anywhere unless the user named the place."""
        return []

    @staticmethod
    def version() -> str:
        return f"tritonclient {metadata.version('tritonclient')}, grpcio {grpc.__version__}"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        return self._ask(feeds, time.monotonic() + self._address.timeout_ms / 1e3)

    def close(self) -> None:
        self._client.close()

    def _signature(self, end: float) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """What the served model takes and gives. Raises NotAvailable, ModelError."""
        name, version = self._name, self._address.version
        try:
            live = self._client.is_server_live(client_timeout=_left(end))
            told = self._client.get_model_metadata(name, version, client_timeout=_left(end))
            ready = self._client.is_model_ready(name, version, client_timeout=_left(end))
        except triton.InferenceServerException as error:
            if error.status() == _NOT_FOUND:
                raise ModelError(
                    f"the server at {self._address} has no model {name!r}: {_words(error)}",
                    hint=f"name one that it has: {self._address}/MODEL, and @VERSION if need be",
                ) from error
            raise NotAvailable(
                f"no model server answers at {self._address}: {_words(error)}",
                hint="is it running, is this its gRPC port, and is the link encrypted (grpcs://) on both sides?",
            ) from error
        if not (live and ready):
            raise NotAvailable(
                f"the server at {self._address} is not ready for model {name!r}",
                hint="wait until it has loaded the model",
            )
        return tuple(map(self._spec, told.inputs)), tuple(map(self._spec, told.outputs))

    def _spec(self, tensor: Any) -> TensorSpec:
        """An open first dimension is the number of pictures: one."""
        shape = tuple(tensor.shape)
        shape = (1, *shape[1:]) if shape[:1] == (-1,) else shape
        if tensor.datatype not in _DTYPES or not all(size > 0 for size in shape):
            raise ModelError(
                f"model {self._name!r} at {self._address}: {tensor.name} is {tensor.datatype}{list(tensor.shape)}; "
                "numbers and static shapes are needed"
            )
        spec = TensorSpec(tensor.name, shape, np.dtype(_DTYPES[tensor.datatype]))
        if math.prod(shape) * spec.dtype.itemsize > _MOST_BYTES:
            raise ModelError(f"model {self._name!r} at {self._address}: {spec} is larger than {_MOST_BYTES >> 20} MiB")
        return spec

    def _ask(self, feeds: Mapping[str, Array], end: float) -> dict[str, Array]:
        """Send one request and read its answer, until `end` (time.monotonic)."""
        inputs = [triton.InferInput(spec.name, list(spec.shape), _WORDS[spec.dtype]) for spec in self.inputs]
        for tensor in inputs:
            tensor.set_data_from_numpy(feeds[tensor.name()])
        try:
            try:
                response = self._infer(inputs, end)
            except triton.InferenceServerException as error:
                if error.status() != _UNAVAILABLE:
                    raise
                # A server that was started again: the old channel would pause before it sees that.
                self._client.close()
                self._client = _connect(self._address)
                response = self._infer(inputs, end)
        except triton.InferenceServerException as error:
            raise self._translated(error) from error
        self._late = 0
        return self._arrays(response)

    def _infer(self, inputs: list[triton.InferInput], end: float) -> Any:
        """gRPC itself cancels the request when the time is over: no late answer can come in the next one's place."""
        version = self._address.version
        return self._client.infer(self._name, inputs, version, client_timeout=_left(end)).get_response()

    def _translated(self, error: triton.InferenceServerException) -> EngineError:
        if error.status() == _LATE:
            self._late += 1
            kind = EngineLost if self._late >= _LATE_IN_A_ROW else EngineError
            return kind(
                f"{self._address} did not answer in time",
                hint=f"a nearer or faster server, or a longer ?timeout_ms=N (now {self._address.timeout_ms:g})",
            )
        if error.status() in _GONE:
            return EngineLost(f"{self._address} went away: {_words(error)}", hint="is the server still running?")
        return EngineError(f"{self._address} failed: {_words(error)}")

    def _arrays(self, response: Any) -> dict[str, Array]:
        """The outputs, copied so that they can be written to as those of other runtimes. Raises EngineError."""
        if len(response.outputs) != len(response.raw_output_contents):
            raise EngineError(f"{self._address} answered without the raw contents of its outputs")
        found = {
            tensor.name: (tensor, data)
            for tensor, data in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        arrays = {}
        for spec in self.outputs:
            if spec.name not in found:
                raise EngineError(f"{self._address} answered without {spec}; it gave {sorted(found) or 'nothing'}")
            tensor, data = found[spec.name]
            got = f"{tensor.datatype}{list(tensor.shape)} in {len(data)} bytes"
            if (tensor.datatype, tuple(tensor.shape)) != (_WORDS[spec.dtype], spec.shape) or len(data) != (
                math.prod(spec.shape) * spec.dtype.itemsize
            ):
                raise EngineError(f"{self._address} promised {spec}, it gave {got}")
            arrays[spec.name] = np.frombuffer(data, spec.dtype).reshape(spec.shape).copy()
        return arrays


def _connect(address: Address) -> triton.InferenceServerClient:
    """A client with a channel of its own: nothing is shared with an older one, no proxy of the environment used."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", _MOST_BYTES),
    ]
    credentials = None
    if address.tls:
        try:
            authorities = None if address.ca is None else address.ca.read_bytes()
        except OSError as error:
            raise BadInput(
                f"the certificates {address.ca} cannot be read: {error.strerror or error}", hint="ca=FILE, in PEM"
            ) from error
        credentials = grpc.ssl_channel_credentials(authorities)
    return triton.InferenceServerClient(f"dns:///{address}", creds=credentials, channel_args=options)


def _left(end: float) -> float:
    """Seconds until `end`; gRPC takes none of 0 or less."""
    return max(end - time.monotonic(), 1e-3)


def _words(error: triton.InferenceServerException) -> str:
    """What the server (or gRPC) says, on one line that is not too long: it comes from a stranger."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(error.message())).split())
    return words[:_LONGEST_WORDS] or str(error.status())
