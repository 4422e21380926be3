"""The gate: a request is decided about before anything of tracing is built for it.

One that will be recorded goes the way of the official instrumentation. One that will not gets an identity (its trace id
and a span id of its own), which its log lines and its calls to other services carry, and nothing else: the
instrumentations below it are told to stand still by upstream's own key.
"""
