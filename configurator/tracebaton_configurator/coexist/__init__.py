"""An application that has an OpenTelemetry set-up of its own, and what it gets of what is recorded here."""
