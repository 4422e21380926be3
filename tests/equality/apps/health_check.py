"""The HEALTHCHECK of an image: asks a server, prints what it heard, and its status is what counts."""

# /// equality
# command = ["python", "health_check.py"]
# silent = true
# ///

import sys
import urllib.error
import urllib.request

try:
    urllib.request.urlopen("http://127.0.0.1:9/health", timeout=2)
except (urllib.error.URLError, OSError) as error:
    print("unhealthy:", error)
    sys.exit(1)
