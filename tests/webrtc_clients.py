"""WebRTC clients that are no browser: one sends numbered pictures to a WHIP address, one watches a WHEP address."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from fractions import Fraction

import av
import httpx
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription


async def connect(peer, url):
    """Offer, post, answer; the place to take leave at."""
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(url, content=offer, headers={"content-type": "application/sdp"})
    answer.raise_for_status()
    await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return httpx.URL(url).join(answer.headers["location"])


def offer_of(kind="video", direction="recvonly", codec=None):
    """An offer as text."""

    async def make():
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = peer.addTransceiver(kind, direction=direction)
        if codec is not None:
            able = RTCRtpSender.getCapabilities(kind).codecs
            transceiver.setCodecPreferences([c for c in able if c.name.lower() == codec])
        await peer.setLocalDescription(await peer.createOffer())
        text = peer.localDescription.sdp
        await peer.close()
        return text

    return asyncio.run(make())


def watch(url, count, codec=None, timeout_s=60):
    """The next `count` pictures (BGR) that come from this WHEP address."""

    async def run():
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = peer.addTransceiver("video", direction="recvonly")
        if codec is not None:
            able = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([c for c in able if c.name.lower() == codec])
        place = await connect(peer, url)
        pictures = []
        async with asyncio.timeout(timeout_s):
            while len(pictures) < count:
                frame = await transceiver.receiver.track.recv()
                pictures.append(frame.to_ndarray(format="bgr24"))
        async with httpx.AsyncClient(timeout=30) as client:
            assert (await client.delete(place)).status_code == 200
        await peer.close()
        return pictures

    return asyncio.run(run())


class _Pictures(MediaStreamTrack):
    kind = "video"

    def __init__(self, picture):
        super().__init__()
        self._picture, self._number = picture, 0

    async def recv(self):
        await asyncio.sleep(1 / 30)
        frame = av.VideoFrame.from_ndarray(self._picture(self._number), format="bgr24")
        self._number += 1
        frame.pts, frame.time_base = self._number * 3000, Fraction(1, 90_000)
        return frame


@contextmanager
def sending(url, picture, sound=False):
    """While inside, `picture(n)` (BGR) is sent thirty times a second; leaving ends it as a page that is closed does."""
    stop, connected, trouble = threading.Event(), threading.Event(), []

    async def run():
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if sound:
            peer.addTransceiver("audio", direction="sendonly")
        peer.addTrack(_Pictures(picture))
        try:
            await connect(peer, url)
            connected.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)
        finally:
            await peer.close()

    def work():
        try:
            asyncio.run(run())
        except Exception as error:
            trouble.append(error)
        connected.set()

    thread = threading.Thread(target=work)
    thread.start()
    connected.wait(60)
    try:
        if trouble:
            raise trouble[0]
        yield
    finally:
        stop.set()
        thread.join(60)
