"""Whether the persona's footage shows the face that may be worn: one person's consent is not another's."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from engines.errors import BadInput
from live.frame import Persona
from live.parts import Finder, Source
from live.personas.likeness import best_likeness, score
from live.teach.faces import Seen
from live.teach.targets import of_these

_LOOKS = 20  # of the straightest pictures


def demand_alike(persona: Persona, source: Source, seen: Seen, finder: Finder) -> None:
    """Raise BadInput unless these pictures look like the persona's portraits, or nobody's consent is claimed anyhow."""
    if persona.disclosure == "unverified":
        return
    straight = sorted(sorted(seen.fit, key=lambda row: abs(seen.faces[row].pose[0]))[:_LOOKS])
    with closing(best_likeness(finder)) as likeness:
        wanted = [likeness.features(view.image, view.face) for view in persona.views]
        scores = []
        for row, captured in of_these(source, seen, straight):
            features = likeness.features(captured.image, seen.faces[row])
            scores.append(max(score(features, one) for one in wanted))
    if (median := float(np.median(scores))) < likeness.threshold:
        raise BadInput(
            f"the persona's footage does not look like {persona.name!r} ({median:.2f} by {likeness.words}; "
            f"{likeness.threshold:.2f} is needed), whose consent it would be worn with",
            hint="give a picture of that person, with --again --face PICTURE: it is worn as a face whose consent is "
            "unknown then",
        )
