"""Every way in which a program ends; what it prints then, and its exit status, are its own."""

# /// equality
# command = ["python", "ends.py", "falls through"]
#
# [cases.falls-through]
# [cases.exit-3]
# command = ["python", "ends.py", "exit 3"]
# [cases.exit-text]
# command = ["python", "ends.py", "exit text"]
# [cases.os-exit-4]
# command = ["python", "ends.py", "os._exit 4"]
# [cases.exception]
# command = ["python", "ends.py", "exception"]
# [cases.hook]
# command = ["python", "ends.py", "hook"]
# [cases.abort]
# command = ["python", "ends.py", "abort"]
# [cases.exec]
# command = ["python", "ends.py", "exec"]
# [cases.closed-streams]
# command = ["python", "ends.py", "closed streams"]
# [cases.thread]
# command = ["python", "ends.py", "thread"]
# [cases.alarm]
# command = ["python", "ends.py", "alarm"]
# [cases.sigterm]
# command = ["python", "ends.py", "waits"]
# ready = "ready"
# [cases.sigint]
# command = ["python", "ends.py", "waits"]
# ready = "ready"
# ends = "SIGINT"
# [cases.sigterm-handled]
# command = ["python", "ends.py", "handles"]
# ready = "ready"
# [cases.sigterm-asyncio]
# command = ["python", "ends.py", "asyncio"]
# ready = "ready"
# [cases.sigint-asyncio]
# command = ["python", "ends.py", "asyncio waits"]
# ready = "ready"
# ends = "SIGINT"
# ///

import asyncio
import atexit
import os
import signal
import sys
import threading
import time


def wait() -> None:
    # Everything is printed by now: a signal that comes within a print meets its lock.
    threading.Timer(0.1, lambda: os.write(1, b"ready\n")).start()
    time.sleep(60)


def own(number: int, _: object) -> None:
    os.write(1, b"own handler %d\n" % number)
    sys.exit(6)


async def until_told(*, handler: bool) -> None:
    told = asyncio.Event()
    if handler:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    asyncio.get_running_loop().call_later(0.1, os.write, 1, b"ready\n")
    await asyncio.wait_for(told.wait(), 60)
    print("told")


how = sys.argv[1]
atexit.register(os.write, 1, b"atexit ran\n")
import httpx  # noqa: E402, F401 (a library that is traced)

print(signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1), flush=True)
if how == "exit 3":
    sys.exit(3)
elif how == "exit text":
    sys.exit("to stderr")
elif how == "os._exit 4":
    os._exit(4)
elif how == "exception":
    raise RuntimeError("unhandled")
elif how == "hook":
    sys.excepthook = lambda *what: print("own hook", what[0].__name__)
    raise RuntimeError("unhandled")
elif how == "abort":
    os.abort()
elif how == "exec":
    os.execvp("python3", ["python3", "-c", "print('another program'); raise SystemExit(8)"])
elif how == "closed streams":
    os.close(1)
    os.close(2)
elif how == "thread":
    threading.Thread(target=lambda: (time.sleep(0.05), os.write(1, b"thread ran\n"))).start()
elif how == "alarm":
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(60)
elif how == "waits":
    wait()
elif how == "handles":
    signal.signal(signal.SIGTERM, own)
    wait()
elif how == "asyncio":
    asyncio.run(until_told(handler=True))
elif how == "asyncio waits":
    asyncio.run(until_told(handler=False))
