"""The export of spans: which exporter, and the bounded flush at exit."""
