"""What the sink imports, and when."""

from __future__ import annotations

import subprocess
import sys


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=50).stdout


def test_redis_is_imported_when_the_sink_connects() -> None:
    code = (
        "import sys; from streamfan.sinks.redis import RedisSink; RedisSink('redis://h'); print('redis' in sys.modules)"
    )

    assert run_python(code) == "False\n"


def test_without_redis_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["redis"] = None
from streamfan.sinks.redis import RedisSink
try:
    RedisSink().connect()
except ImportError as error:
    print(error)
"""

    assert run_python(code) == (
        "sink 'redis' needs redis, which is not installed\nTry: pip install 'streamfan[redis]'\n"
    )
