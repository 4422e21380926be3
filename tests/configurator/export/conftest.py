"""Receivers to deliver to: the one that misbehaves (tests/faults), and peers that follow a script, byte by byte."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "faults"), str(ROOT / "docker" / "demo")]
