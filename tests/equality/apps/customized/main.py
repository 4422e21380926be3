"""A Python that somebody has customized: each of the ways that site.py has runs as it did, and in its order."""

# /// equality
# command = ["python", "main.py"]
#
# [cases.on-path]
# env = {PYTHONPATH = "{here}/path"}
# [cases.on-path-child]
# command = ["python", "-c", "import subprocess, sys; print(subprocess.run([sys.executable, 'main.py'], capture_output=True))"]
# env = {PYTHONPATH = "{here}/path"}
# [cases.in-environment]
# needs = ["venv"]
# [cases.in-both]
# needs = ["venv"]
# env = {PYTHONPATH = "{here}/path"}
# [cases.no-user-site]
# command = ["python", "-s", "main.py"]
# needs = ["venv"]
# [cases.served]
# command = ["python", "-m", "uvicorn", "main:app", "--port", "{port}"]
# requests = ["GET /"]
# needs = ["venv"]
# env = {PYTHONPATH = "{here}/path"}
# spans = 1
# ///

import builtins
import sys

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def ran() -> list[str]:
    return getattr(builtins, "customized", [])


if __name__ == "__main__":
    print(getattr(builtins, "customized", []))
    print([name for name in ("sitecustomize", "usercustomize") if name in sys.modules])
    print([getattr(sys.modules.get(name), "MARK", None) for name in ("sitecustomize", "usercustomize")])
