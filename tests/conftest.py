"""What every test shares: settings, and an environment that is nobody's.

Fixtures live beside the tests that use them; here is only what must be in place before the first import.
"""

from __future__ import annotations

import os

from hypothesis import settings

# A developer's own Redis or sink settings must not decide whether a test passes.
for name in [name for name in os.environ if name == "REDIS_URL" or name.startswith("STREAMFAN_")]:
    del os.environ[name]

# Read when huggingface_hub and tokenizers are first imported: no test may reach the network, or warn after a fork.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# No deadline: the machine may be busy. In CI the examples are always the same, so a red run can be had again.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if "CI" in os.environ else "default")
