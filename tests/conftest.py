"""What has to be so before any test module is imported."""

from __future__ import annotations

import os
import signal

# Tests that serve gRPC themselves start programs, too, by fork and exec. What gRPC does in the child in between, which
# it decides when it is imported, now and then ends it ("epoll_wait error: Bad file descriptor", status -6).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# What starts the tests in the background may ignore these, and programs would inherit that: a signal that they are
# tested with would do nothing.
for _number, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _default)
