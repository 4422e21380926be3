"""An application whose log lines are JSON already: they keep their fields."""

# /// equality
# command = ["uvicorn", "json_logging:app", "--port", "{port}", "--no-access-log"]
# requests = ["GET /", "GET /error"]
# ///

import json
import logging

from fastapi import FastAPI


class Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {"severity": record.levelname, "text": record.getMessage()}
        if record.exc_info:
            told["kind"] = record.exc_info[0].__name__
        return json.dumps(told)


handler = logging.StreamHandler()
handler.setFormatter(Json())
logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
app = FastAPI()


@app.get("/")
async def home() -> dict[str, str]:
    logging.getLogger("shop").info("served", extra={"not": "shown"})
    return {}


@app.get("/error")
async def error() -> dict[str, str]:
    try:
        raise ValueError("no")
    except ValueError:
        logging.exception("failed")
    return {}
