"""An S3 server on loopback: moto's, with a layer that is slow, refuses, falls silent, breaks and cuts short when told.

    with S3Server() as server:
        server.environment                      what clients of it have in their environment
        server.put("s3://bucket/a.nii", b"...")  → the ETag
        server.fail("503", n=2)                 the next two GETs and HEADs; `match`: of keys that hold it
        server.fail("503", share=0.1, n=20)     one of ten, drawn by a seed, until twenty were
        server.delay(0.05)
        server.take_log()                       (method, path) of all requests since it was taken last

As a program: `python s3_server.py`, which prints its port.
"""

import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from urllib.parse import quote

KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret-of-nobody"}
ANSWERS = {
    "503": ("503 Slow Down", "SlowDown"),
    "403": ("403 Forbidden", "AccessDenied"),
    "500": ("500 Internal Error", "InternalError"),
}
MOST_SILENT_S = 60


class S3Server:
    """A process of its own, so that nothing of it is forked with a test."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self._buckets = set()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @property
    def environment(self):
        return make_environment(self.url)

    def put(self, address, data, public=False):
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if bucket not in self._buckets:
            self._buckets.add(bucket)
            self._ask("PUT", f"/{bucket}")
        acl = {"x-amz-acl": "public-read"} if public else {}
        return self._ask("PUT", f"/{bucket}/{quote(key)}", data, acl).headers["ETag"]

    def delete(self, address):
        self._ask("DELETE", "/" + quote(address.removeprefix("s3://")))

    def fail(self, kind, n=1, **options):
        self._command({"fail": {"kind": kind, "n": n, **options}})

    def delay(self, seconds):
        self._command({"delay": seconds})

    def heal(self):
        """No fault and no delay any more."""
        self._command({"heal": True})

    def take_log(self):
        return [tuple(entry) for entry in self._command({"log": True})]

    def spent_s(self):
        """Processor time of the server in seconds."""
        return find_spent_s(self.process.pid)

    def _command(self, command):
        return json.loads(self._ask("POST", "/_faults", json.dumps(command).encode()).read())

    def _ask(self, method, path, data=b"", more=None):
        # A signature that moto does not check tells it which service is meant.
        signature = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        headers = {"Authorization": signature, "Content-Type": "application/octet-stream", **(more or {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        return urllib.request.urlopen(request, timeout=30)


def make_environment(url):
    """What clients of a server have in their environment."""
    return {
        **KEYS,
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def find_spent_s(pid):
    """Processor time of a process in seconds (Linux)."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Layer:
    """What stands before moto's application."""

    def __init__(self, application):
        self.application, self.faults, self.seconds, self.log = application, [], 0.0, []
        self.draws = random.Random(0)

    def __call__(self, environ, start):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/_faults":
            return self.obey(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))), start)
        if method in ("GET", "HEAD"):
            self.log.append((method, path))
            time.sleep(self.seconds)
            for fault in self.faults:
                if fault["n"] > 0 and fault.get("match", "") in path and method in fault.get("methods", "GET HEAD"):
                    if self.draws.random() >= fault.get("share", 1):
                        continue
                    fault["n"] -= 1
                    return self.spoil(fault, environ, start)
        return self.application(environ, start)

    def obey(self, command, start):
        answer = None
        if "fail" in command:
            self.faults.append(command["fail"])
        elif "delay" in command:
            self.seconds = command["delay"]
        elif "heal" in command:
            self.faults, self.seconds = [], 0.0
        else:
            answer, self.log = self.log, []
        body = json.dumps(answer).encode()
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def spoil(self, fault, environ, start):
        kind = fault["kind"]
        if kind in ANSWERS:
            status, code = ANSWERS[kind]
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            body = b"" if environ["REQUEST_METHOD"] == "HEAD" else body
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]
        if kind == "stall":
            time.sleep(fault.get("seconds", MOST_SILENT_S))
            return self.application(environ, start)
        if kind == "reset":
            connection = environ["werkzeug.socket"]
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        body = b"".join(self.application(environ, start))  # the header says how long it is
        if kind == "cut":
            return [body[: len(body) // 2]]
        assert kind == "other bytes", kind
        return [bytes(len(body))]


def main():
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_):
            pass

    layer = Layer(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, layer, threaded=True, request_handler=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
