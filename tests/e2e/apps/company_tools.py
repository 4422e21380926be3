"""An application that runs a tool, a Python program with telemetry of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from fastapi import FastAPI
from opentelemetry import trace

app = FastAPI()
TOOL = """
import json, os, sys
names = [name for name in sys.modules if name.startswith(("opentelemetry", "tracebaton"))]
ours = [name for name in os.environ if "TRACEBATON_S" in name or name.startswith("OTEL_PYTHON_")]
from opentelemetry import trace
with trace.get_tracer("tool").start_as_current_span("of the tool"):
    pass
print(json.dumps({"loaded": names, "environ": ours}))
"""


@app.get("/who")
async def who() -> dict[str, object]:
    return {"pid": os.getpid(), "trace_id": f"{trace.get_current_span().get_span_context().trace_id:032x}"}


@app.get("/tool")
def tool() -> Any:
    environ = {**os.environ, "OTEL_SERVICE_NAME": "tool"}
    done = subprocess.run([sys.executable, "-c", TOOL], env=environ, capture_output=True, check=True)
    return json.loads(done.stdout)
