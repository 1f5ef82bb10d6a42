"""How clients reach kserve_server.py: KServe's REST and gRPC, guarded.

KServe's own server takes bodies of any size, waits for slow clients without
end, works on for those that have gone, fails (500) at what it does not
understand, and lets anybody unload the model. So requests pass a gate before
its REST application: nothing but what the protocols need gets through, whole,
in time and no larger than allowed. Its gRPC service is registered here, without
the calls of the model repository extension.
"""

import asyncio
import functools

import grpc
import kserve
import kserve.model_server
from fastapi.responses import JSONResponse
from google.protobuf.message import DecodeError
from kserve.logging import logger
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.rest.server import RESTServer
from kserve_requests import RefusedError, read_v1, read_v2, read_v2_message
from uvicorn.protocols.http.h11_impl import H11Protocol

JSON_LENGTH = b"inference-header-content-length"
# Connections, those of clients that wait among them. Each takes a file.
CONNECTIONS = 900
# Bytes a second; a client that takes less of its answer is dropped.
SLOWEST_CLIENT = 1000
# Seconds that requests in the making may take once the server is to stop.
GRACE = 30
SERVICE = "inference.GRPCInferenceService"
GRPC_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
}


class CheckedDataPlane(DataPlane):
    """What KServe's REST application asks of the model.

    Args:
        model: the `ExportedModel`, the only one there is.
    """

    def __init__(self, model):
        registry = kserve.ModelRepository()
        registry.update(model)
        super().__init__(registry)
        self.model = model

    def decode(self, body, headers, protocol_version="v1", model_name=None):
        """Says how the body is to be read, which the model will have done."""
        if protocol_version == "v1":
            return functools.partial(read_v1, body), {}
        length = headers.get(JSON_LENGTH.decode())
        return functools.partial(read_v2, body, length), {}

    def metadata(self):
        return {**super().metadata(), "extensions": []}

    async def ready(self):
        self.model.check_ready()
        return True

    async def model_ready(self, *arguments):
        self.model.check_ready()
        return await super().model_ready(*arguments)

    async def model_metadata(self, *arguments):
        self.model.check_ready()
        return await super().model_metadata(*arguments)


class Gate:
    """What stands before KServe's REST application.

    Args:
        application: the ASGI application.
        model: the `ExportedModel`.
        longest: int, bytes that a body may have.
        patience: float, seconds in which it must have come.
    """

    def __init__(self, application, model, longest, patience):
        self.application = application
        self.model = model
        self.longest = longest
        self.patience = patience
        self.open = 0
        name = model.name
        self.methods = {
            **dict.fromkeys(
                [
                    *("/", "/metrics", "/v1/models", f"/v1/models/{name}"),
                    *("/v2", "/v2/health/live", "/v2/health/ready"),
                    *("/v2/models", f"/v2/models/{name}"),
                    f"/v2/models/{name}/ready",
                ],
                "GET",
            ),
            f"/v1/models/{name}:predict": "POST",
            f"/v2/models/{name}/infer": "POST",
        }

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        try:
            self._check(scope)
            if scope["method"] == "GET":
                await self._pass(scope, b"", send)
            else:
                await self._answer(scope, receive, send)
        except RefusedError as refused:
            await _response(refused)(scope, receive, send)

    def _check(self, scope):
        path = scope["path"]
        if path not in self.methods:
            raise RefusedError(
                f"There is nothing at {path[:200]}; the model is called "
                f"{self.model.name}",
                404,
            )
        if scope["method"] != self.methods[path]:
            raise RefusedError(f"{path} takes {self.methods[path]} only", 405)

    async def _answer(self, scope, receive, send):
        self.model.check_ready()
        # Before the body is taken, which has to be kept until it is worked on.
        if self.open >= self.model.capacity:
            raise RefusedError("Too many requests; try later.", 503)
        self.open += 1
        try:
            body = await self._body(scope, receive)
            if body is not None:
                await self._pass_while_connected(scope, body, receive, send)
        finally:
            self.open -= 1

    async def _body(self, scope, receive):
        """The whole body, or None if the client has gone."""
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if int(told) > self.longest:
            raise self._too_long()
        parts, length = [], 0
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    length += len(message["body"])
                    if length > self.longest:
                        raise self._too_long()
                    parts.append(message["body"])
                    if not message["more_body"]:
                        return b"".join(parts)
        except TimeoutError:
            raise RefusedError(
                f"The request did not come within {self.patience:g} seconds",
                408,
            ) from None

    def _too_long(self):
        return RefusedError(
            f"A request may have {self.longest:,} bytes; send smaller pictures "
            "or fewer at a time",
            413,
        )

    async def _pass_while_connected(self, scope, body, receive, send):
        """Has the request answered, but not for a client that has gone."""
        complete = False

        async def noting(message):
            nonlocal complete
            complete = message["type"] == "http.response.body"
            await send(message)

        answering = asyncio.create_task(self._pass(scope, body, noting))
        # After the body nothing comes but the end.
        ending = asyncio.create_task(receive())
        try:
            await asyncio.wait(
                {answering, ending}, return_when=asyncio.FIRST_COMPLETED
            )
            if answering.done() or complete:
                await answering
        finally:
            ending.cancel()
            answering.cancel()

    async def _pass(self, scope, body, send):
        """Has KServe answer.

        Of the headers it gets the one that the protocol has. Bodies are bytes,
        which it leaves to `CheckedDataPlane.decode`, whatever the client calls
        them.
        """
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % len(body)),
            *(pair for pair in scope["headers"] if pair[0] == JSON_LENGTH),
        ]

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {**scope, "headers": headers, "query_string": b""}
        await self.application(scope, receive, send)


def _response(refused):
    headers = {
        # What is still to come is not waited for.
        408: {"connection": "close"},
        503: {"retry-after": "1"},
    }
    return JSONResponse(
        {"error": str(refused)}, refused.status, headers.get(refused.status)
    )


class ImpatientProtocol(H11Protocol):
    """HTTP for clients that send their requests and take their answers.

    uvicorn alone waits for the first request of a connection without end, and
    for the taking of an answer as well.

    Attributes:
        patience: float, seconds that a connection may go without a request, or
            without taking any of its answer.
    """

    patience = 65.0

    def connection_made(self, transport):
        super().connection_made(transport)
        self.seen = (None, True, 0)
        self._look_later()

    def connection_lost(self, exc):
        self.looking.cancel()
        super().connection_lost(exc)

    def _look_later(self):
        self.looking = self.loop.call_later(self.patience, self._look)

    def _look(self):
        """Drops the connection if nothing has happened since the last look."""
        request, was_idle, last_waiting = self.seen
        waiting = self.transport.get_write_buffer_size()
        is_idle = self.cycle is None or self.cycle.response_complete
        self.seen = (self.cycle, is_idle, waiting)
        if waiting or last_waiting:
            taken = last_waiting - waiting
            is_slow = (
                min(waiting, last_waiting) > 0
                and taken < SLOWEST_CLIENT * self.patience
            )
        else:
            is_slow = is_idle and was_idle
        if is_slow and request is self.cycle:
            self.transport.abort()
        else:
            self._look_later()


def _grpc_service(model, plane):
    """KServe's V2 service over gRPC, without the model repository's calls."""

    async def server_live(request):
        return messages.ServerLiveResponse(live=True)

    async def server_ready(request):
        return messages.ServerReadyResponse(ready=model.ready)

    async def server_metadata(request):
        return messages.ServerMetadataResponse(**plane.metadata())

    async def model_ready(request):
        check_name(request.name)
        return messages.ModelReadyResponse(ready=model.ready)

    async def model_metadata(request):
        check_name(request.name)
        metadata = await plane.model_metadata(model.name)
        return messages.ModelMetadataResponse(**metadata)

    async def model_infer(request):
        check_name(request.model_name)
        model.check_ready()
        answer, _ = await model(functools.partial(read_v2_message, request))
        return answer.to_grpc()

    def check_name(name):
        if name != model.name:
            raise RefusedError(
                f"There is no model {name[:200]}, only {model.name}", 404
            )

    methods = {
        "ServerLive": (messages.ServerLiveRequest, server_live),
        "ServerReady": (messages.ServerReadyRequest, server_ready),
        "ServerMetadata": (messages.ServerMetadataRequest, server_metadata),
        "ModelReady": (messages.ModelReadyRequest, model_ready),
        "ModelMetadata": (messages.ModelMetadataRequest, model_metadata),
        "ModelInfer": (messages.ModelInferRequest, model_infer),
    }
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {name: _grpc_method(*method) for name, method in methods.items()},
    )


def _grpc_method(message, function):
    """A method that says what is the client's fault, and what is not."""

    async def answer(content, context):
        try:
            # Read here: of messages that are none gRPC makes a server's error.
            return await function(message.FromString(content))
        except DecodeError:
            code, why = grpc.StatusCode.INVALID_ARGUMENT, "no such message"
        except RefusedError as refused:
            code, why = GRPC_CODES[refused.status], str(refused)
        except Exception:
            logger.exception("a request over gRPC failed")
            code, why = grpc.StatusCode.INTERNAL, "Internal server error"
        return await context.abort(code, why)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        response_serializer=lambda response: response.SerializeToString(),
    )


async def serve(model, arguments):
    """Serves a model, which is loaded meanwhile, until told to stop.

    Args:
        model: an `ExportedModel`.
        arguments: what the command line of kserve_server.py says.
    """
    plane = CheckedDataPlane(model)
    longest = int(arguments.body_megabytes * 2**20)
    rest = RESTServer(
        "kserve.model_server:app",
        plane,
        None,
        arguments.http_port,
        grace_period=GRACE,
        timeout_keep_alive=arguments.idle_seconds,
    )
    application = kserve.model_server.app

    @application.exception_handler(RefusedError)
    async def refuse(request, refused):
        return _response(refused)

    rest.config.app = Gate(application, model, longest, arguments.body_seconds)
    rest.config.host = arguments.host
    rest.config.http = type(
        "Protocol", (ImpatientProtocol,), {"patience": arguments.idle_seconds}
    )
    rest.config.ws = "none"
    rest.config.limit_concurrency = CONNECTIONS
    grpc_server = grpc.aio.server(
        handlers=[_grpc_service(model, plane)],
        # Some for those that ask whether the server is there.
        maximum_concurrent_rpcs=model.capacity + 8,
        options=[
            ("grpc.max_receive_message_length", longest),
            # Bounded by the model.
            ("grpc.max_send_message_length", -1),
            # Two servers on one port would answer in turn.
            ("grpc.so_reuseport", 0),
            ("grpc.max_connection_idle_ms", arguments.idle_seconds * 1000),
            # Clients that neither send nor take end with their connection.
            ("grpc.max_connection_age_ms", arguments.request_seconds * 1000),
            (
                "grpc.max_connection_age_grace_ms",
                arguments.request_seconds * 1000,
            ),
            # Those that are cut off without a word are noticed.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
    )
    grpc_server.add_insecure_port(f"{arguments.host}:{arguments.grpc_port}")
    await grpc_server.start()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(rest.start())
            group.create_task(asyncio.to_thread(model.load))
    finally:
        await grpc_server.stop(GRACE)
