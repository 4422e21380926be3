"""Which requests are recorded."""
