"""The W3C headers that carry a trace from one service to the next: `traceparent`, `tracestate` and `baggage`.

Parsed as Trace Context Level 2 (https://www.w3.org/TR/trace-context-2/) and Baggage (https://www.w3.org/TR/baggage/)
say, whatever bytes arrive: a header that breaks a rule is ignored, a request never fails.
"""
