"""What opens something, a token in a query or a password in a URL, does not leave the process in a span.

`names` knows which names say that their value is a secret, `text` finds the values, `spans` does so for every span
before anybody gets it, and `upstream` lets OpenTelemetry's instrumentations do the same when they make attributes.
"""
