"""One stage as a Python gRPC service that does nothing: `executor.py` prints its port. No queue, no disk, no retry."""

import asyncio

import grpc


async def main() -> None:
    async def run(body: bytes, _) -> bytes:
        return body

    service = grpc.method_handlers_generic_handler("Executor", {"run": grpc.unary_unary_rpc_method_handler(run)})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
