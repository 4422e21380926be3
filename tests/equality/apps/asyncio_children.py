"""Subprocesses of asyncio: captured, piped, cancelled and ended."""

# /// equality
# command = ["python", "asyncio_children.py"]
# ///

import asyncio
import contextlib
import sys

LOGGING = "import logging; logging.basicConfig(level=20); logging.info('a tool'); print('done')"


async def main() -> None:
    pipe = asyncio.subprocess.PIPE
    for code in ("pass", "print(1)", LOGGING, "raise ValueError('x')", "exit(4)"):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe, stderr=pipe)
        print(code, await child.communicate(), child.returncode)
    child = await asyncio.create_subprocess_exec("python3", "-c", "print(input()[::-1])", stdin=pipe, stdout=pipe)
    print(await child.communicate(b"abc\n"))
    child = await asyncio.create_subprocess_shell("python3 -c 'import sys; print(5, file=sys.stderr)'", stderr=pipe)
    print(await child.communicate())
    waiting = "import time; print('up', flush=True); time.sleep(60)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", waiting, stdout=pipe, stderr=pipe)
    assert child.stdout is not None
    print(await child.stdout.readline())
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(child.wait(), 0.05)
    child.terminate()
    print(await child.wait())


asyncio.run(main())
