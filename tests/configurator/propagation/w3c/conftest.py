"""Makes the cases of the W3C suite importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
