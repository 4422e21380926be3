"""What differs between the SDK's releases 0.3 and 1."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any
from uuid import uuid4

IS_NEW = version("a2a-sdk").startswith("1.")
if IS_NEW:
    from a2a.client import ClientConfig, ClientFactory
    from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message
    from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Role, SendMessageRequest
else:
    from a2a.client.client import ClientConfig
    from a2a.client.client_factory import ClientFactory
    from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Message, Part, Role, TextPart
    from a2a.utils import new_agent_text_message, new_task


def card() -> Any:
    """`A2A_URL` says where its HTTP bindings are, `A2A_GRPC` where the other one is."""
    url, grpc = os.environ["A2A_URL"], os.environ["A2A_GRPC"]
    common = {
        "name": "agent",
        "description": "an agent",
        "version": "1",
        "capabilities": AgentCapabilities(streaming=True),
        "default_input_modes": ["text/plain"],
        "default_output_modes": ["text/plain"],
        "skills": [],
    }
    where = {"JSONRPC": f"{url}/rpc", "HTTP+JSON": f"{url}/rest", "GRPC": grpc}
    if IS_NEW:
        interfaces = [
            AgentInterface(protocol_binding=name, url=at, protocol_version="1.0") for name, at in where.items()
        ]
        return AgentCard(supported_interfaces=interfaces, **common)
    interfaces = [AgentInterface(transport=name, url=at) for name, at in where.items()]
    return AgentCard(url=where["JSONRPC"], additional_interfaces=interfaces, **common)


def add_to_app(app: Any, its_card: Any, handler: Any) -> None:
    if IS_NEW:
        from a2a.server.routes import create_jsonrpc_routes, create_rest_routes

        app.router.routes += create_jsonrpc_routes(handler, "/rpc")
        app.router.routes += create_rest_routes(handler, path_prefix="/rest")
    else:
        from a2a.server.apps.jsonrpc.fastapi_app import A2AFastAPIApplication
        from a2a.server.apps.rest.fastapi_app import A2ARESTFastAPIApplication

        A2AFastAPIApplication(its_card, handler).add_routes_to_app(app, rpc_url="/rpc")
        app.mount("/rest", A2ARESTFastAPIApplication(its_card, handler).build())


def add_to_grpc(grpc_handler: Any, its_card: Any, handler: Any, server: Any) -> None:
    if IS_NEW:
        from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server as add

        add(grpc_handler(handler), server)
    else:
        from a2a.grpc.a2a_pb2_grpc import add_A2AServiceServicer_to_server as add_old

        add_old(grpc_handler(its_card, handler), server)


def answer(text: str) -> Any:
    return new_text_message(text) if IS_NEW else new_agent_text_message(text)


def task(context: Any) -> Any:
    return new_task_from_user_message(context.message) if IS_NEW else new_task(context.message)


async def send(text: str, binding: str, *, stream: bool, **of_task: str) -> list[Any]:
    """The events that came back; `of_task` are the fields of the message that name a task."""
    import grpc
    import httpx

    async with httpx.AsyncClient(timeout=20) as http:
        config: dict[str, Any] = {"streaming": stream, "httpx_client": http}
        config["grpc_channel_factory"] = grpc.aio.insecure_channel
        config["supported_protocol_bindings" if IS_NEW else "supported_transports"] = [binding]
        client = ClientFactory(ClientConfig(**config)).create(card())
        if IS_NEW:
            message: Any = SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER, **of_task))
        else:
            message = Message(role=Role.user, parts=[Part(root=TextPart(text=text))], message_id=uuid4().hex, **of_task)
        return [event async for event in client.send_message(message)]
