"""The shop, started by a script that has set logging up before."""

import sys

import setup_logging
import uvicorn

setup_logging.basic_config()

if __name__ == "__main__":
    uvicorn.run("setup_shop:app", host="127.0.0.1", port=int(sys.argv[1]), log_config=None)
