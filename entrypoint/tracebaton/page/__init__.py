"""The page of `tracebaton view`: what the browser shows of the store."""
