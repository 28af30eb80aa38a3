"""Answers to offers: host candidates alone, nothing from strangers, and whatever is no offer is refused."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from aiortc import RTCPeerConnection

from live import peers
from live.local_server.keys import addresses
from live.peers import BadOffer, answer, reachable
from tests.webrtc_clients import offer_of

OURS = ["127.0.0.1", *addresses()]


def answered(offer, codec="vp8", ours=OURS):
    async def run():
        peer, sdp = await answer(offer, codec, client="127.0.0.1", ours=ours)
        await peer.close()
        return sdp

    return asyncio.run(run())


@pytest.fixture(scope="module")
def offer():
    return offer_of(direction="sendonly")


def test_only_this_machines_addresses_are_offered_and_no_server_is_asked(offer, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network is asked")

    monkeypatch.setattr("aioice.ice.server_reflexive_candidate", refuse)
    monkeypatch.setattr("aioice.mdns.create_mdns_protocol", refuse)
    local = offer.replace("a=candidate:", "a=candidate:9 1 udp 5 3e1c1d4a.local 5000 typ host\r\na=candidate:", 1)
    lines = [line.split() for line in answered(local).split("\r\n") if line.startswith("a=candidate")]
    assert {line[4] for line in lines} == set(OURS)
    assert {line[7] for line in lines} == {"host"}


def test_for_another_device_only_the_address_it_came_in_by_is_offered(offer):
    sdp = answered(offer, ours=["127.0.0.1"])
    assert {line.split()[4] for line in sdp.split("\r\n") if line.startswith("a=candidate")} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("a=candidate:1 1 udp 5 a.local 5000 typ host generation 0", "a=candidate:1 1 udp 5 10.0.0.7 5000 typ host"),
        ("a=candidate:1 1 UDP 5 192.168.0.3 5000 typ host", "a=candidate:1 1 udp 5 192.168.0.3 5000 typ host"),
        ("a=candidate:1 1 udp 5 8.8.8.8 5000 typ srflx raddr 10.0.0.7 rport 1", None),
        ("a=candidate:1 1 udp 5 8.8.8.8 5000 typ relay raddr 10.0.0.7 rport 1", None),
        ("a=candidate:1 1 tcp 5 10.0.0.7 9 typ host tcptype active", None),
        ("a=mid:0", "a=mid:0"),
    ],
)  # fmt: skip
def test_a_hidden_address_is_the_one_the_request_came_from(line, kept):
    found = reachable(f"v=0\r\n{line}\r\n", "10.0.0.7").split("\r\n")
    assert found[0] == "v=0" and (found[1].startswith(kept) if kept else found[1] == "")


def test_packets_from_another_machine_are_dropped_unread(offer):
    """127.0.0.2 is this machine's too, but none of the addresses that it goes by."""
    heard = []

    async def run():
        peer, sdp = await answer(offer, "vp8", client="127.0.0.1", ours=OURS)
        candidate = next(line.split() for line in sdp.split("\r\n") if line.startswith("a=candidate"))
        connection = peer.getTransceivers()[0].receiver.transport.transport.iceGatherer._connection
        connection.data_received = lambda data, component: heard.append(data)
        for source in ("127.0.0.2", "127.0.0.1"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((source, 0))
                sock.sendto(source.encode(), (candidate[4], int(candidate[5])))
            await asyncio.sleep(0.1)
        await peer.close()

    asyncio.run(run())
    assert heard == [b"127.0.0.1"]


@pytest.mark.parametrize(
    "text", ["", "hello", "v=0\r\n", "{}", "\x00" * 100, "v=0\r\nm=video 9 RTP/AVP x\r\n", "é" * 50]
)
def test_what_is_no_offer_is_refused(text):
    with pytest.raises(BadOffer):
        answered(text)


def test_an_offer_without_video_or_with_two_is_refused(offer):
    with pytest.raises(BadOffer, match="one video"):
        answered(offer_of("audio"))
    media = offer[offer.index("m=video") :]
    with pytest.raises(BadOffer):
        answered(offer + media.replace("a=mid:0", "a=mid:1"))


def test_an_offer_without_the_codec_is_refused():
    with pytest.raises(BadOffer, match="expected H264"):
        answered(offer_of(codec="vp8"), "h264")


def test_damaged_offers_are_answered_or_refused(offer):
    dice = random.Random(1)
    outcomes = set()
    for _ in range(60):
        text = offer.split("\r\n")
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(text))
            change = dice.choice(["drop", "cut", "digits", "twice"])
            if change == "drop":
                del text[at]
            elif change == "cut":
                text[at] = text[at][: dice.randrange(len(text[at]) + 1)]
            elif change == "digits":
                text[at] = "".join(dice.choice("0123456789") if c.isdigit() else c for c in text[at])
            else:
                text.insert(at, text[at])
        try:
            answered("\r\n".join(text))
            outcomes.add("answered")
        except BadOffer:
            outcomes.add("refused")
    assert outcomes == {"answered", "refused"}


def test_a_refused_offer_leaves_no_connection_open(monkeypatch):
    made = []

    class Noted(RTCPeerConnection):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(peers, "RTCPeerConnection", Noted)
    with pytest.raises(BadOffer):
        answered("hello")
    assert [peer.connectionState for peer in made] == ["closed"]
