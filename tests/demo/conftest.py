"""Makes the demo's own modules importable, as they are for its driver."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker" / "demo"))
