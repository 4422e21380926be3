"""A script that runs tools and reads what they print, as agents do: byte for byte, on either stream."""

# /// equality
# command = ["python", "children_captured.py"]
# ///

import os
import subprocess
import sys

FORMATTER = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
logging.info("formatting %s", sys.argv[1:])
sys.stdout.write("def f(): pass\\n")
logging.getLogger("tool").warning("would reformat")
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("and a traceback")
sys.exit(1)
"""
CLIENT = """
import json, logging, httpx
logging.basicConfig(level=logging.INFO)
try:
    httpx.get("http://127.0.0.1:9")
except httpx.ConnectError as error:
    print(json.dumps({"error": type(error).__name__}))
    logging.error("no connection")
"""
SERVED = """
import logging
import fastapi
logging.basicConfig(level=logging.INFO)
logging.getLogger("child").info("a tool that imports fastapi and serves nothing")
print(fastapi.FastAPI(title="tool").openapi()["info"]["title"])
"""
COMMANDS = {
    "pass": [sys.executable, "-c", "pass"],
    "by name": ["python3", "-c", "print('hello')"],
    "formatter": [sys.executable, "-c", FORMATTER, "a.py", "--check"],
    "client": [sys.executable, "-c", CLIENT],
    "fastapi": [sys.executable, "-c", SERVED],
    "fails": [sys.executable, "-c", "raise SystemExit('not today')"],
    "raises": [sys.executable, "-c", "raise KeyError('x')"],
    "killed": [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"],
    "isolated": [sys.executable, "-I", "-c", "import sys; print(sys.flags)"],
    "pip": [sys.executable, "-m", "json.tool", "--help"],
    "shell": ["sh", "-c", f"{sys.executable} -c 'import sys; sys.stderr.write(\"by a shell\")' 2>&1 | cat"],
    "grandchild": [
        sys.executable,
        "-c",
        "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'import sys; print(1); sys.exit(5)']).returncode)",
    ],
}
for name, command in COMMANDS.items():
    done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    print(name, done.returncode, done.stdout, done.stderr, sep="\n  ")
clean = {"PATH": os.environ["PATH"]}
print(subprocess.check_output(["python3", "-c", "import os; print(sorted(os.environ))"], env=clean))
print(subprocess.getoutput(f"{sys.executable} -c 'print(2)'"), os.system(f"{sys.executable} -c 'exit(3)'"))
print(os.popen("python3 -c 'print(3)'").read())
with open("/dev/null", "wb") as null:
    print(subprocess.call([sys.executable, "-c", "print(4)"], stdout=null, stderr=null))
