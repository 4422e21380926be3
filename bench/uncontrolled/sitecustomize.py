"""Starts tracebaton as its launcher does, without the thread that listens for `tracebaton off` and its like.

For nobody but the benchmark: what this contender does not pay is what that thread costs.
"""

from opentelemetry.instrumentation.auto_instrumentation import initialize

from tracebaton_configurator.live import address

address.AVAILABLE = False  # as on a system without such sockets
initialize()
