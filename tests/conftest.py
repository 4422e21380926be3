"""What has to be so before any test module is imported."""

from __future__ import annotations

import os

# Tests that serve gRPC themselves start programs, too, by fork and exec. What gRPC does in the child in between, which
# it decides when it is imported, now and then ends it ("epoll_wait error: Bad file descriptor", status -6).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
