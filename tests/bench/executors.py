"""Two Python gRPC executors, one behind the other, and a client that calls both: the peer of the pipeline."""

import asyncio
import pathlib
import subprocess
import sys
import time

import grpc

BODY = b'{"id":"0000000000000000","text":"nothing","picture":{"count":1,"steps":1}}'


class Executors:
    """Two processes; every call goes through both."""

    def __init__(self) -> None:
        command = [sys.executable, str(pathlib.Path(__file__).with_name("executor.py"))]
        self.processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        self.ports = [int(process.stdout.readline()) for process in self.processes]

    def latencies(self, count: int) -> list:
        return asyncio.run(self.calls(count, 1))

    def rate(self, flying: int) -> float:
        count, began = 2000, time.monotonic()
        asyncio.run(self.calls(count, flying))
        return count / (time.monotonic() - began)

    async def calls(self, count: int, flying: int) -> list:
        channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}") for port in self.ports]
        first, second = (channel.unary_unary("/Executor/run") for channel in channels)
        seconds, left = [], iter(range(count))

        async def line() -> None:
            for _ in left:
                began = time.perf_counter()
                await second(await first(BODY))
                seconds.append(time.perf_counter() - began)

        await first(BODY)
        await asyncio.gather(*(line() for _ in range(flying)))
        for channel in channels:
            await channel.close()
        return seconds

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
