"""The modules whose import makes a process one that is traced: what serves, what calls others, and OpenTelemetry."""

from __future__ import annotations

from tracebaton_configurator.names import SERVER_MODULES

# What serves. In a worker that uvicorn has spawned, `uvicorn` itself is no sign: the process that started it wants its
# first answer within seconds (uvicorn 0.34: `--workers`, supervisors/multiprocess.py).
SERVERS = SERVER_MODULES
# What uvicorn imports there when it loads an application, one perhaps that imports nothing of what is watched.
LATE = ("uvicorn.lifespan.on", "uvicorn.lifespan.off")

# What runs jobs, or adds them, some of it with nothing else in the process that is watched.
JOB_QUEUES = ("apscheduler.executors.base", "arq.worker", "dramatiq.worker", "huey.api", "rq.worker")

# What starts processes of the same program, and pools of them: these may be given a trace context.
PROCESS_MODULES = (
    "multiprocessing.spawn",
    "multiprocessing.pool",
    "concurrent.futures.process",
)

# The module of each library, and the entry points (opentelemetry_instrumentor) that are for it. Where an
# instrumentation is not listed, its distribution's metadata says what it is for.
INSTRUMENTATIONS = {
    "fastapi": ("fastapi",),
    "starlette.applications": ("starlette",),
    "httpx": ("httpx",),
    "httpx2": ("httpx2",),
    "redis": ("redis",),
    "aiohttp": ("aiohttp-client", "aiohttp-server"),
    "requests": ("requests",),
    "urllib3": ("urllib3",),
    "urllib.request": ("urllib",),
    "aio_pika": ("aio-pika",),
    "aiokafka": ("aiokafka",),
    "aiomysql": ("aiomysql",),
    "aiopg": ("aiopg",),
    "anthropic": ("anthropic",),
    "asyncclick": ("asyncclick",),
    "asyncpg": ("asyncpg",),
    "boto": ("boto",),
    "boto3": ("boto3",),
    "botocore": ("botocore",),
    "cassandra": ("cassandra",),
    "celery": ("celery",),
    "click": ("click",),
    "confluent_kafka": ("confluent_kafka",),
    "django": ("django",),
    "elasticsearch": ("elasticsearch",),
    "falcon": ("falcon",),
    "flask": ("flask",),
    "google.genai": ("google-genai",),
    "grpc": ("grpc_client", "grpc_server", "grpc_aio_client", "grpc_aio_server"),
    "jinja2": ("jinja2",),
    "kafka": ("kafka",),
    "langchain_core": ("langchain",),
    "mcp": ("mcp",),
    "MySQLdb": ("mysqlclient",),
    "mysql.connector": ("mysql",),
    "openai": ("openai",),
    "agents": ("openai_agents", "openai-agents"),
    "pika": ("pika",),
    "psycopg": ("psycopg",),
    "psycopg2": ("psycopg2",),
    "pymemcache": ("pymemcache",),
    "pymongo": ("pymongo",),
    "pymssql": ("pymssql",),
    "pymysql": ("pymysql",),
    "pyramid": ("pyramid",),
    "remoulade": ("remoulade",),
    "sqlalchemy": ("sqlalchemy",),
    "sqlite3": ("sqlite3",),
    "taskiq": ("taskiq",),
    "tornado": ("tornado",),
    "tortoise": ("tortoiseorm",),
    "vertexai": ("vertexai",),
}
# Too common among programs that are none of our business: an instrumentation for one of them is put in place where the
# process is traced anyway.
_NO_SIGN = frozenset(("click", "asyncclick", "jinja2", "sqlite3", "urllib.request"))
LIBRARIES = (*JOB_QUEUES, *(name for name in INSTRUMENTATIONS if name not in _NO_SIGN))
