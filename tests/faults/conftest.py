"""The fault-injecting receiver: `from fault_receiver import FaultyReceiver`, `from fault_kinds import ...`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "docker" / "demo")]
