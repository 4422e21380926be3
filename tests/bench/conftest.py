"""Makes the benchmark's own modules importable, as they are for its `run.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "docker" / "demo")]
