"""What of an address may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.address import shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("virtual:/dev/video19", "virtual:/dev/video19"),
        ("swapped.mp4", "swapped.mp4"),
        ("camera:Logitech C920", "camera:Logitech C920"),
        ("rtmp://a.rtmp.example/live2/abcd-efgh", "rtmp://a.rtmp.example/live2/..."),
        ("rtmps://host:443/app/key/more?x=1", "rtmps://host:443/app/...?..."),
        ("rtmp://host/app", "rtmp://host/app"),
        ("rtmp://host", "rtmp://host"),
        ("stream:rtmp://host/app/key", "stream:rtmp://host/app/..."),
        ("rtsp://user:word@10.0.0.7:554/cam/1?token=abc", "rtsp://10.0.0.7:554/cam/1?..."),
        ("network:http://u@[fe80::1]:8080/video", "network:http://[fe80::1]:8080/video"),
        ("srt://host:9000?passphrase=word&streamid=key", "srt://host:9000?..."),
        ("udp://127.0.0.1:1234", "udp://127.0.0.1:1234"),
        ("http://host:port/x", "http://..."),
        ("rtmp://[broken/app/key", "rtmp://..."),
    ],
)
def test_what_is_shown(text, safe):
    assert shown(text) == safe


@given(
    st.sampled_from(["rtmp", "rtmps", "rtsp", "http", "https", "srt", "udp"]),
    st.text("abcXYZ0189-_~%!*", min_size=1),
    st.text("abcXYZ0189-_~%!*", min_size=1),
)
def test_user_password_and_query_are_never_shown(scheme, user, word):
    text = shown(f"{scheme}://Q{user}Q:Q{word}Q@host/path?key=Q{word}Q#Q{user}Q")
    assert "Q" not in text and text.startswith(f"{scheme}://host/path")
