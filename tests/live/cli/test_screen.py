"""live/cli/screen.py: what is printed is what was said."""

import logging

from live.cli import screen


def test_a_fingerprint_stays_what_it_is(monkeypatch):
    printed = "81:AB:CD:0E"  # two names of emojis
    for console in (screen.out, screen.err):
        with console.capture() as caught:
            console.print(printed, soft_wrap=True)
        assert caught.get().strip() == printed
    with screen.err.capture() as caught:
        screen.Notices().emit(logging.makeLogRecord({"levelno": logging.INFO, "msg": "it is\n%s", "args": (printed,)}))
    assert printed in caught.get()
