"""A script that sets its logging up with everything there is, before and after it logs."""

# /// equality
# command = ["python", "own_logging.py", "{out}"]
# ///

import json
import logging
import logging.config
import logging.handlers
import queue
import sys
import warnings
from pathlib import Path

out = Path(sys.argv[1])


class Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("secret", "***")


class Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"severity": record.levelname, "text": record.getMessage()})


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(self.format(record))


logging.warning("before any set-up")
logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"short": {"format": "%(levelname).1s %(name)s %(message)s"}, "json": {"()": Json}},
        "handlers": {
            "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "short"},
            "file": {"class": "logging.FileHandler", "filename": str(out / "app.log"), "formatter": "json"},
        },
        "root": {"level": "DEBUG", "handlers": ["out", "file"]},
    }
)
log = logging.getLogger("own.logging")
log.debug("a number %d and a mapping %(x)s" if False else "a number %d", 5)
log.info("two\nlines", extra={"customer": 7})
try:
    int("x")
except ValueError:
    log.exception("it failed")
log.warning("with a stack", stack_info=False)
rotating = logging.handlers.RotatingFileHandler(out / "rotating.log", maxBytes=200, backupCount=2)
rotating.setFormatter(Redacting("%(message)s"))
quiet = logging.getLogger("quiet")
quiet.propagate = False
quiet.addHandler(rotating)
quiet.error("the secret of one file")
kept = Kept()
quiet.addHandler(kept)
quiet.error("kept in memory")
lines: queue.Queue[logging.LogRecord] = queue.Queue()
listener = logging.handlers.QueueListener(lines, *logging.getLogger().handlers)
listener.start()
queued = logging.getLogger("queued")
queued.propagate = False
queued.addHandler(logging.handlers.QueueHandler(lines))
queued.info("by way of a queue")
listener.stop()
logging.captureWarnings(capture=True)
warnings.warn("a warning that is logged", stacklevel=1)
log.error("bad arguments %d", "x")
print(kept.kept, logging.getLogger().handlers, logging.root.level, logging.getLevelName(15))
print(logging.getLogRecordFactory().__name__, logging.getLoggerClass().__name__, sys.stdout.name, sys.stderr.name)
print(sorted(name for name in logging.root.manager.loggerDict if not name.startswith(("opentelemetry", "tracebaton"))))
