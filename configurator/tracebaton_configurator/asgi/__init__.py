"""The sampling middleware and its fast path: a request is decided about before anything of tracing is built for it.

A sampled request gets the span that the official instrumentation would make. An unsampled one gets a non-recording span
context (its trace id and a span id of its own), which its log lines and its calls to other services carry, and nothing
else: the instrumentations below it are suppressed by upstream's own key.
"""
