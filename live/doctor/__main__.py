"""One check in a process of its own: prints a line of JSON for each finding."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from live.doctor import guarded

for finding in guarded(sys.argv[1]):
    sys.stdout.write(json.dumps(asdict(finding)) + "\n")
    sys.stdout.flush()
