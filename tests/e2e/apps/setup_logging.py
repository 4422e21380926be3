"""Ways in which applications set up logging."""

import json
import logging
import logging.config
import logging.handlers
import os
import queue
from pathlib import Path
from typing import Any

FORMAT = "%(asctime)s %(levelname)-8s [%(name)s] %(message)s"
HERE = Path(__file__).parent
listeners: list[logging.handlers.QueueListener] = []


def nothing() -> None:
    pass


def basic_config() -> None:
    logging.basicConfig(level=logging.INFO, format=FORMAT)


def basic_config_forced() -> None:
    logging.basicConfig(level=logging.INFO, format="{levelname} {name}: {message}", style="{", force=True)


def _as_dict() -> dict[str, Any]:
    return {
        "version": 1,
        "formatters": {"plain": {"format": FORMAT}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"level": "INFO", "handlers": ["console"]},
    }


def dict_config() -> None:
    logging.config.dictConfig({**_as_dict(), "disable_existing_loggers": False})


def dict_config_that_disables() -> None:
    """As by default: loggers that exist and are not named fall silent, uvicorn's among them."""
    logging.config.dictConfig({**_as_dict(), "loggers": {"shop": {"level": "INFO"}}})


def file_config() -> None:
    logging.config.fileConfig(HERE / "setup_log.ini", disable_existing_loggers=False)


def own_handler() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.getLogger("shop").addHandler(handler)


class FixedFields(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": self.formatTime(record),
            "lvl": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["exc"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _everywhere(formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    for name in ("", "uvicorn", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False


def hand_written_json() -> None:
    _everywhere(FixedFields())


class OwnTraceId(FixedFields):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({**json.loads(super().format(record)), "trace_id": "mine-1"})


def own_trace_id() -> None:
    _everywhere(OwnTraceId())


def json_logger() -> None:
    try:
        from pythonjsonlogger.json import JsonFormatter
    except ImportError:
        from pythonjsonlogger.jsonlogger import JsonFormatter

    _everywhere(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))


def indented_json() -> None:
    try:
        from pythonjsonlogger.json import JsonFormatter
    except ImportError:
        from pythonjsonlogger.jsonlogger import JsonFormatter

    _everywhere(JsonFormatter("%(levelname)s %(message)s", json_indent=2))


class AsMessage(logging.LoggerAdapter):
    def process(self, msg: Any, kwargs: Any) -> Any:
        return json.dumps({"event": msg}), kwargs


def json_as_message() -> None:
    """The message is made JSON by the caller; the handler writes it as it is."""
    import setup_shop

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    setup_shop.log = AsMessage(setup_shop.log, {})  # type: ignore[assignment]


def stop_listening() -> None:
    for listener in listeners:
        listener.stop()


def _listen(handler: logging.Handler) -> logging.handlers.QueueHandler:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, handler)
    listener.start()
    listeners.append(listener)
    return logging.handlers.QueueHandler(waiting)


def queued() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[_listen(handler)])


def queued_json() -> None:
    """The formatter is that of the queue's handler, and the listener writes what it has made."""
    handler = _listen(logging.StreamHandler())
    handler.setFormatter(FixedFields())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _to_file(handler: logging.Handler) -> None:
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[handler])


def rotating() -> None:
    path = Path(os.environ["LOG_DIR"], "shop.log")
    _to_file(logging.handlers.RotatingFileHandler(path, maxBytes=300, backupCount=50))


def timed_rotating() -> None:
    path = Path(os.environ["LOG_DIR"], "shop.log")
    handler = logging.handlers.TimedRotatingFileHandler(path, when="S", backupCount=50)
    handler.rolloverAt = 0  # long ago: the first line makes a new file
    _to_file(handler)


def rich_handler() -> None:
    from rich.logging import RichHandler

    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_time=False)])


def no_terminator() -> None:
    handler = logging.StreamHandler()
    handler.terminator = ""
    logging.basicConfig(level=logging.INFO, format=FORMAT + "\n", handlers=[handler])


def coloured_levels() -> None:
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        logging.addLevelName(level, f"\x1b[31m{logging.getLevelName(level)}\x1b[0m")
    logging.basicConfig(level=logging.INFO, format=FORMAT)


class Coloured(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"\x1b[31m{super().format(record)}\x1b[0m"


def coloured_wrapper() -> None:
    _everywhere(Coloured(FORMAT))


class StructuredLogHandler(logging.StreamHandler):
    """As google-cloud-logging 3's, which makes an object of what the formatter makes."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"message": super().format(record), "severity": record.levelname})


def google_handler() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[StructuredLogHandler()])


def many_fields() -> None:
    text = "[shop] env=prod %(threadName)s %(filename)s:%(lineno)d %(funcName)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=text)
