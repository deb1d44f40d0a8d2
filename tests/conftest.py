"""Settings and models that the tests share."""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs a hub; a mistake must fail at once
sys.path.insert(0, str(Path(__file__).parent))  # the tests' own helpers: literal, tiny, synthetic
