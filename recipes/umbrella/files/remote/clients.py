"""One request each to the stores, by fsspec's file systems and public names of their clients.

Every class has

    stat(url)            the Identity of an object
    get(url, expected)   (its bytes, its Identity as the answer states it)
    get_range(url, a, b) its bytes from a to before b
    list_below(url, n)   address → Identity of what begins with `url`, of S3 at most about n, of others all; None where
                         that cannot be asked

and raises what its library raises: `umbrella.files.remote.faults` tells what that means. No request is tried twice
here, and none is kept in a cache of the library.
"""

import base64
import io
import os
import ssl
from collections.abc import Callable
from typing import Any

import fsspec
from fsspec.asyn import sync

from umbrella.files.remote.addresses import split_address
from umbrella.files.remote.faults import ObjectChanged
from umbrella.files.remote.identity import Identity, to_md5

CONNECT_S = 10
MOST_CONNECTIONS = 16


class S3Client:
    """s3://BUCKET/KEY. Keys by botocore's own rules; a machine without any asks without a signature."""

    def __init__(self, silent_s: float) -> None:
        self.silent_s, self.is_anonymous = silent_s, False
        self.fs = self._connect()

    def stat(self, url: str) -> Identity:
        return to_s3_identity(self._call(self._send, "head_object", url))

    def get(self, url: str, expected: Identity | None) -> tuple[bytes, Identity]:
        return self._call(self._get, url)

    def get_range(self, url: str, start: int, end: int) -> bytes:
        return self._call(self._get, url, Range=f"bytes={start}-{end - 1}")[0]

    def list_below(self, url: str, most: int) -> dict[str, Identity] | None:
        return self._call(self._list, url, most)

    async def _send(self, method: str, url: str, **options: Any) -> dict:
        bucket, _, key = split_address(url)[1].partition("/")
        await self.fs.set_session()
        client = await self.fs.get_s3(bucket)
        return await getattr(client, method)(Bucket=bucket, Key=key, **options)

    async def _get(self, url: str, **options: str) -> tuple[bytes, Identity]:
        answer = await self._send("get_object", url, **options)
        async with answer["Body"] as body:
            content = await body.read()
        return content, to_s3_identity({"ContentLength": len(content), **answer})  # proxies may leave it out

    async def _list(self, url: str, most: int) -> dict[str, Identity]:
        bucket, _, prefix = split_address(url)[1].partition("/")
        await self.fs.set_session()
        client = await self.fs.get_s3(bucket)
        found: dict[str, Identity] = {}
        async for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for one in page.get("Contents", []):
                found[f"s3://{bucket}/{one['Key']}"] = Identity(one["Size"], one["ETag"])
            if len(found) > most:
                break
        return found

    def _call(self, function: Callable, *arguments: Any, **options: Any) -> Any:
        try:
            return sync(self.fs.loop, function, *arguments, **options)
        except Exception as error:
            # By its name, as botocore is imported by s3fs alone.
            if self.is_anonymous or type(error).__name__ != "NoCredentialsError":
                raise
        self.is_anonymous = True
        self.fs = self._connect()
        return sync(self.fs.loop, function, *arguments, **options)

    def _connect(self) -> Any:
        config = {
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "connect_timeout": CONNECT_S,
            "read_timeout": self.silent_s,
            "max_pool_connections": MOST_CONNECTIONS,
        }
        return fsspec.filesystem(
            "s3", skip_instance_cache=True, use_listings_cache=False, config_kwargs=config, anon=self.is_anonymous
        )


def to_s3_identity(answer: dict) -> Identity:
    """The identity in the answer to a GET or HEAD. An ETag is the md5 of the bytes but where KMS encrypts them."""
    is_encrypted = "kms" in answer.get("ServerSideEncryption", "") or "SSECustomerAlgorithm" in answer
    tag = answer.get("ETag", "")
    return Identity(answer["ContentLength"], tag, "" if is_encrypted else to_md5(tag))


class GsClient:
    """gs://BUCKET/NAME. Keys by GOOGLE_APPLICATION_CREDENTIALS; without it no request is signed."""

    def __init__(self, silent_s: float) -> None:
        import aiohttp

        token = "google_default" if "GOOGLE_APPLICATION_CREDENTIALS" in os.environ else "anon"
        self.fs = fsspec.filesystem(
            "gs",
            skip_instance_cache=True,
            use_listings_cache=False,
            token=token,
            session_kwargs={
                "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silent_s),
                "trust_env": True,
            },
        )

    def stat(self, url: str) -> Identity:
        return _to_gs_identity(self.fs.info(url))

    def get(self, url: str, expected: Identity | None) -> tuple[bytes, Identity]:
        content = self.fs.cat_file(url)
        # The answer does not say which version it is: where no digest tells, it is asked for after the bytes came.
        if expected is not None and expected.digest and expected.find_difference(content) is None:
            return content, expected
        return content, self.stat(url)

    def get_range(self, url: str, start: int, end: int) -> bytes:
        return self.fs.cat_file(url, start=start, end=end)

    def list_below(self, url: str, most: int) -> dict[str, Identity] | None:
        found = self.fs.find(url, detail=True)
        return {f"gs://{name}": _to_gs_identity(one) for name, one in found.items()}


def _to_gs_identity(info: dict) -> Identity:
    # Objects that were composed of others have no md5.
    digest = f"md5 {base64.b64decode(info['md5Hash']).hex()}" if "md5Hash" in info else ""
    return Identity(info["size"], digest or str(info["generation"]), digest)


class HttpsClient:
    """https://HOST/PATH. A version is told by ETag, else Last-Modified, where the server states them."""

    def __init__(self, silent_s: float) -> None:
        import aiohttp

        redirects = aiohttp.TraceConfig()
        redirects.on_request_redirect.append(stay_encrypted)
        self.vouched_for = ssl.create_default_context()  # SSL_CERT_FILE counts; aiohttp's is made at its import
        self.fs = fsspec.filesystem(
            "https",
            skip_instance_cache=True,
            client_kwargs={
                "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silent_s),
                "trace_configs": [redirects],
                "auto_decompress": False,  # of x.nii.gz a server may say that it is x.nii, packed for the way
                "trust_env": True,
            },
        )

    def stat(self, url: str) -> Identity:
        stated = sync(self.fs.loop, self._send, "HEAD", url)[1]
        return stated if stated.size else sync(self.fs.loop, self._send, "GET", url)[1]  # not all state it there

    def get(self, url: str, expected: Identity | None) -> tuple[bytes, Identity]:
        return sync(self.fs.loop, self._send, "GET", url)

    def get_range(self, url: str, start: int, end: int) -> bytes:
        return sync(self.fs.loop, self._send, "GET", url, Range=f"bytes={start}-{end - 1}")[0]

    def list_below(self, url: str, most: int) -> dict[str, Identity] | None:
        return None

    async def _send(self, method: str, url: str, **headers: str) -> tuple[bytes, Identity]:
        session = await self.fs.set_session()
        as_it_is = {"Accept-Encoding": "identity", **headers}
        async with session.request(method, url, headers=as_it_is, ssl=self.vouched_for) as answer:
            answer.raise_for_status()
            if headers and answer.status != 206:
                raise io.UnsupportedOperation("a server that sends the whole where a part was asked for (no Range)")
            content = await answer.read()
            length = int(answer.headers.get("Content-Length", len(content)))
            return content, Identity(length, answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


async def stay_encrypted(session: Any, context: Any, redirected: Any) -> None:
    """Raise UnsupportedOperation before a server's redirect to an address without encryption is followed."""
    answer = redirected.response
    to = answer.headers.get("Location") or answer.headers.get("URI") or ""
    if answer.url.join(type(answer.url)(to)).scheme != "https":
        raise io.UnsupportedOperation("a redirect to an address that is not https")


class HfClient:
    """hf://datasets/OWNER/NAME[@REVISION]/PATH. The Hub states a digest of every file."""

    def __init__(self, silent_s: float) -> None:
        self.fs = fsspec.filesystem("hf", skip_instance_cache=True)

    def stat(self, url: str) -> Identity:
        return _to_hf_identity(self.fs.info(url, refresh=True, expand_info=True))

    def get(self, url: str, expected: Identity | None) -> tuple[bytes, Identity]:
        content = io.BytesIO()
        self.fs.get_file(url, outfile=content)
        data = content.getvalue()
        if expected is not None and expected.find_difference(data) is None:
            return data, expected
        return data, self.stat(url)

    def get_range(self, url: str, start: int, end: int) -> bytes:
        return self.fs.cat_file(url, start=start, end=end)

    def list_below(self, url: str, most: int) -> dict[str, Identity] | None:
        folder = url.rpartition("/")[0]
        found = self.fs.find(folder, detail=True, refresh=True)
        place = split_address(folder)[1]
        resolved = self.fs.resolve_path(folder).unresolve()  # it has the revision in it, or not, as the Hub says
        return {f"hf://{place}{name[len(resolved) :]}": _to_hf_identity(one) for name, one in found.items()}


def _to_hf_identity(info: dict) -> Identity:
    if info["type"] != "file":
        raise FileNotFoundError(info["name"])
    lfs = info.get("lfs")
    digest = f"sha256 {lfs['sha256']}" if lfs else f"git {info['blob_id']}"
    return Identity(info["size"], digest, digest)


CLIENTS = {"s3": S3Client, "gs": GsClient, "https": HttpsClient, "hf": HfClient}


def check_same(identity: Identity, expected: Identity | None) -> None:
    """Raise ObjectChanged where an answer is of another version than was expected."""
    if expected is not None and identity.tag != expected.tag:
        raise ObjectChanged(f"{identity.size} bytes with tag {identity.tag}, not {expected.size} with {expected.tag}")
