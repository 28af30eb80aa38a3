"""The tape, its clock and its playhead: an hour on a fake clock without drift, and never a click."""

from __future__ import annotations

import numpy as np
import pytest

from live.sound.tape import Head, Line, Tape

RATE = 48_000
S = 10**9


def tone(first, count, rate=RATE, hz=440.0):
    """A tone by the number of its samples, f32 [count, 1]."""
    return np.sin(2 * np.pi * hz * (first + np.arange(count)) / rate, dtype=np.float64).astype(np.float32)[:, None]


def steepest(sound):
    return float(np.abs(np.diff(sound[:, 0])).max())


STEEPEST = 2 * np.pi * 440 / RATE


def filled(seconds=2.0):
    tape = Tape(RATE, 1)
    for at in range(0, int(seconds * RATE), 480):
        tape.write(tone(at, 480), (at + 480) * S // RATE)
    return tape


@pytest.mark.parametrize("off", [0, 3e-5, -1e-4, 5e-4])
@pytest.mark.parametrize("jitter_ms", [0.0, 3.0])
def test_a_line_finds_the_speed_of_a_clock_through_jitter(off, jitter_ms):
    line, random = Line(RATE), np.random.default_rng(0)
    for at in range(0, RATE * 120, 480):
        late_ns = random.uniform(-jitter_ms, jitter_ms) * 1e6
        line.observe(at, round(at * S / (RATE * (1 + off)) + late_ns))
    assert abs(line.time_at(at) - at * S / (RATE * (1 + off))) < 1e6
    assert line.index_at(line.time_at(12_345.5)) == pytest.approx(12_345.5)


def test_a_line_begins_again_after_a_gap():
    line = Line(RATE)
    for at in range(0, RATE, 480):
        line.observe(at, at * S // RATE)
    line.observe(RATE, 5 * S)
    assert line.time_at(RATE) == 5 * S


def test_a_place_on_the_tape_is_what_was_caught_then():
    tape = filled()
    places = np.arange(1000, 1500) + 0.25
    assert np.abs(tape.read(places) - tone(1000.25, 500)).max() < 1e-4
    assert tape.index_at(1.5 * S) == pytest.approx(1.5 * RATE, abs=1)


def test_beyond_its_ends_is_silence():
    tape = filled(12.0)
    assert not tape.read(np.arange(0.0, 480.0)).any()  # long overwritten
    assert not tape.read(np.arange(480.0) + tape.end + 2).any()
    assert tape.read(np.arange(480.0) + tape.end - 5 * RATE).any()


def test_what_the_graph_had_no_time_for_is_silence_in_its_place():
    tape = filled(2.0)
    tape.write(tone(0, 480), 3 * S)
    assert tape.end == pytest.approx(3 * RATE, abs=2)
    assert not tape.read(np.arange(2.2 * RATE, 2.8 * RATE)).any()


def test_small_errors_are_caught_up_slowly_and_without_a_click():
    tape, played, at = filled(4.0), [], 0.0
    head = Head(tape)
    for k in range(300):
        error = 0 if k < 50 else 0.012 * RATE  # from here on 12 ms earlier
        played.append(head.read(480, 2000 + at - error))
        at += 480
    assert steepest(np.concatenate(played)) < STEEPEST * 1.02
    assert abs(head._at - (2000 + at - error)) < 0.002 * RATE


def test_large_errors_are_faded_over():
    tape, head = filled(4.0), None
    head = Head(tape)
    played = [head.read(480, 2000 + 480 * k) for k in range(5)]
    played += [head.read(480, 60_000 + 480 * k) for k in range(5)]
    assert steepest(np.concatenate(played)) < STEEPEST + 2 / (0.01 * RATE)
    assert np.abs(played[-1] - tone(60_000 + 480 * 4, 480)).max() < 1e-3


@pytest.mark.long
def test_an_hour_with_clocks_that_differ_and_a_delay_that_wanders_has_no_drift():
    """Microphone 80 ppm fast, listener 50 ppm slow, blocks late by up to 5 ms: what is heard is `delay` old."""
    rate, block = 4_000, 400  # few samples and long blocks, so that an hour takes seconds
    mic, ear = rate * (1 + 8e-5), rate * (1 - 5e-5)
    tape, line, random = Tape(rate, 1, seconds=2), Line(rate), np.random.default_rng(1)
    head, caught, given, errors = Head(tape), 0, 0, []
    for k in range(36_000):
        now_s = (k + 1) * block / mic
        stamps = np.arange(caught, caught + block, dtype=np.float64) / mic  # each sample holds the time it was caught
        tape.write((stamps[:, None] % 8).astype(np.float32), round((now_s + random.uniform(0, 0.005)) * S))
        caught += block
        delay_s = 0.35 + 0.1 * np.sin(k / 3000)
        while given / ear < now_s:
            line.observe(given, round((given / ear + random.uniform(0, 0.005)) * S))
            heard = head.read(block, tape.index_at(line.time_at(given) - delay_s * S))
            if k > 600:
                age = (given / ear - float(heard[0, 0])) % 8
                errors.append(age - delay_s if abs(age - delay_s) < 4 else 0.0)
            given += block
    assert np.percentile(np.abs(errors), 99.9) < 0.012
    assert abs(np.mean(errors[-5_000:]) - np.mean(errors[:5_000])) < 0.003
