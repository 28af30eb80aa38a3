"""What the wearer is asked to do while the camera records: what a face does in a call, in one to two minutes."""

from __future__ import annotations

from dataclasses import dataclass

SECONDS = 100.0
SHORTEST_S, LONGEST_S = 60.0, 180.0

_SCRIPT = (
    (6, "look into the camera, and talk: say what you see in the room"),
    (8, "turn your head slowly to your left, as far as you like, and back"),
    (8, "turn your head slowly to your right, and back"),
    (6, "look up slowly, and back"),
    (6, "look down slowly, and back"),
    (12, "count aloud from one to twenty"),
    (6, "smile, and smile with your teeth"),
    (5, "open your mouth wide, shut it, press your lips together"),
    (6, "blink, shut your eyes for a moment, look left and right with your eyes only"),
    (5, "raise your brows, then frown"),
    (6, "lean your head to one shoulder, then to the other"),
    (6, "lean towards the camera, then back as far as your chair goes"),
    (8, "change the light: lamp on or off, or turn a little to the window and away"),
    (12, "talk as in a call, and move as you do then"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """From this second on, up to that one, the wearer does this."""

    start_s: float
    end_s: float
    words: str


def script(seconds: float) -> list[Step]:
    """The steps, stretched or squeezed to last so long."""
    scale = seconds / sum(length for length, _ in _SCRIPT)
    steps, at = [], 0.0
    for length, words in _SCRIPT:
        steps.append(Step(at, at + length * scale, words))
        at += length * scale
    return steps


def step_at(steps: list[Step], at_s: float) -> Step:
    """The step that is on at this second; the last one after the end."""
    return next((step for step in steps if at_s < step.end_s), steps[-1])
