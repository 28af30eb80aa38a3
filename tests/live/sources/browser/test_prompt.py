"""Frames out of packets: whole ones at once, in order, whatever happens on the way."""

from __future__ import annotations

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket

from live.sources.browser.prompt import PromptBuffer, be_prompt


@pytest.fixture
def buffer():
    return PromptBuffer(16, is_video=True)


def packet(number, timestamp, data, marker=0):
    made = RtpPacket(sequence_number=number % 65_536, timestamp=timestamp, marker=marker)
    made._data = data
    return made


def fed(buffer, *packets):
    """What each packet brings out."""
    out = [buffer.add(p)[1] for p in packets]
    return [frame and (frame.timestamp, frame.data) for frame in out]


def test_a_frame_comes_with_its_last_packet(buffer):
    assert fed(buffer, packet(1, 10, b"a"), packet(2, 10, b"b", 1), packet(3, 20, b"c", 1)) == [
        None,
        (10, b"ab"),
        (20, b"c"),
    ]


def test_packets_out_of_order_wait_for_the_missing_one(buffer):
    fed(buffer, packet(1, 10, b"a", 1))
    assert fed(buffer, packet(3, 20, b"c", 1), packet(2, 20, b"b")) == [None, (20, b"bc")]


def test_frames_stay_in_order(buffer):
    fed(buffer, packet(1, 10, b"a", 1))
    assert fed(buffer, packet(3, 30, b"c", 1), packet(2, 20, b"b", 1), packet(4, 40, b"d")) == [
        None,
        (20, b"b"),
        (30, b"c"),
    ]


def test_a_frame_without_marker_ends_where_the_next_one_begins(buffer):
    assert fed(buffer, packet(1, 10, b"a"), packet(2, 20, b"b")) == [None, (10, b"a")]


def test_padding_is_no_frame(buffer):
    assert fed(buffer, packet(1, 10, b"a", 1), packet(2, 10, b""), packet(3, 20, b"b", 1)) == [
        (10, b"a"),
        None,
        (20, b"b"),
    ]


def test_numbers_wrap(buffer):
    assert fed(buffer, packet(65_535, 10, b"a"), packet(65_536, 10, b"b", 1)) == [None, (10, b"ab")]


def test_after_a_loss_a_whole_picture_is_asked_for(buffer):
    fed(buffer, packet(1, 10, b"a", 1))
    asked = [buffer.add(packet(number, number, b"x", 1))[0] for number in range(3, 30)]  # 2 never comes
    assert any(asked)


def test_aiortc_still_keeps_its_buffer_where_we_put_ours():
    import asyncio

    async def run():
        peer = RTCPeerConnection()
        receiver = peer.addTransceiver("video", direction="recvonly").receiver
        before = receiver._RTCRtpReceiver__jitter_buffer
        be_prompt(receiver)
        assert type(before) is PromptBuffer.__base__
        assert before.capacity == receiver._RTCRtpReceiver__jitter_buffer.capacity
        await peer.close()

    asyncio.run(run())
