"""Every saboteur, by the parts of engine.md. What a worker that dies shows alone is in `tests/crash/saboteurs.py`, what
a connector breaks in `tests/contract/saboteurs.py`."""

from __future__ import annotations

from tests.saboteurs.linking import LINKING
from tests.saboteurs.merging import MERGING
from tests.saboteurs.reaching import REACHING
from tests.saboteurs.running import RUNNING
from tests.saboteurs.undoing import UNDOING

RULES = range(1, 38)
SABOTEURS = (*MERGING, *REACHING, *LINKING, *RUNNING, *UNDOING)
