"""A Hub in memory, over loopback: what huggingface_hub, datasets and transformers ask of it, with users and faults.

    with Hub() as hub:
        hub.url                      give it as HF_ENDPOINT, with one of TOKENS as HF_TOKEN and HF_HUB_DISABLE_XET=1
        hub.files("dataset", "tester/x")  → path → bytes of the newest commit
        hub.fault = lambda method, path: DROP, DROP_ANSWER, LATE, (507, "quota") or None
        hub.kill(); hub.start()      the process dies in the middle of what it does; what was stored stays

As a program: `python hub_server.py PORT`.
"""

import base64
import hashlib
import io
import json
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKENS = {"hf_test": ("tester", "write"), "hf_other": ("other", "write"), "hf_read": ("tester", "read")}
DROP = "drop"  # a fault: the connection breaks
DROP_ANSWER = "drop the answer"  # what was asked for is done, then the connection breaks
LATE = "late"  # what was asked for is done, but a proxy has given up waiting for it
LFS_SUFFIXES = (".parquet", ".arrow", ".safetensors", ".bin", ".pt", ".gz", ".mgz", ".nii", ".zip")
NOW = "2026-01-01T00:00:00.000Z"
LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0", "other", "unknown")
TASKS = ("visual-question-answering", "image-text-to-text", "image-classification", "image-to-text")


class File:
    """A file of a commit."""

    def __init__(self, data, is_lfs=False):
        self.data, self.is_lfs = data, is_lfs
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.git_oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    """Commits of files (path → File), and branches that point to them."""

    def __init__(self, is_private):
        self.is_private, self.gated = is_private, False
        self.commits, self.branches = {}, {}
        self.commit("main", {".gitattributes": File(b"*.parquet filter=lfs\n")})

    def commit(self, branch, files):
        sha = hashlib.sha1(f"{branch}{len(self.commits)}{time.time()}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha

    def resolve(self, revision):
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


class Hub:
    """The store, and the server that answers for it."""

    def __init__(self, port=0):
        self.repos, self.lfs, self.log = {}, {}, []
        self.lock = threading.RLock()
        self.fault = None
        self.port = port

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.server = _Server(("127.0.0.1", self.port), type("Handler", (_Handler,), {"hub": self}))
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def kill(self):
        """Nobody listens any more, and open connections break."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.server.connections):
            _break(connection)

    def files(self, repo_type, repo_id, branch="main"):
        repo = self.repos[repo_type, repo_id]
        return {path: file.data for path, file in repo.commits[repo.branches[branch]].items()}

    def stored_bytes(self):
        """Everything that was ever uploaded: LFS objects and the files of all commits."""
        return [
            *self.lfs.values(),
            *(f.data for r in self.repos.values() for c in r.commits.values() for f in c.values()),
        ]

    def count(self, method, pattern):
        return sum(m == method and re.search(pattern, path) is not None for m, path, _ in self.log)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *args):
        self.connections = set()
        super().__init__(*args)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        pass  # a broken connection is what some tests want


def _break(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed already


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait 40 ms for the answer to its header
    hub: Hub

    def log_message(self, *_):
        pass

    def answer(self):
        url = urlsplit(self.path)
        self.route_path, self.query = unquote(url.path), parse_qs(url.query)
        self.body = self.read_body()
        fault = self.hub.fault and self.hub.fault(self.command, self.route_path)
        if fault == DROP:
            self.close_connection = True
            _break(self.connection)
        elif fault in (DROP_ANSWER, LATE):
            connection, self.wfile = self.wfile, io.BytesIO()
            with self.hub.lock:
                self.route()
            self.wfile = connection
            if fault == LATE:
                self.fail(504, "", "Gateway Timeout")
            else:
                self.close_connection = True
                _break(self.connection)
        elif fault:
            self.fail(fault[0], "", fault[1])
        else:
            with self.hub.lock:
                self.route()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def read_body(self):
        length = self.headers.get("Content-Length")
        if length is not None:
            return self.rfile.read(int(length))
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        pieces = []
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
            if size == 0:
                return b"".join(pieces)

    def send(self, code, value=None, headers=None, raw=None):
        data = raw if raw is not None else b"" if value is None else json.dumps(value).encode()
        self.send_response(code)
        headers = {"Content-Type": "application/json", "X-Request-Id": "double", **(headers or {})}
        headers.setdefault("Content-Length", str(len(data)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.hub.log.append((self.command, self.path, code))

    def fail(self, code, name, message="not found"):
        self.send(code, {"error": message}, {"X-Error-Code": name, "X-Error-Message": message})

    def json(self):
        return json.loads(self.body or b"{}")

    def who(self):
        """(user, role), or (None, None) without a valid token."""
        return TOKENS.get((self.headers.get("Authorization") or "").removeprefix("Bearer "), (None, None))

    # Routes

    def route(self):
        path = self.route_path
        fixed = {
            "/api/whoami-v2": self.whoami,
            "/api/validate-yaml": self.validate_yaml,
            "/api/repos/create": self.create_repo,
            "/lfs/verify": lambda: self.send(200 if self.json()["oid"] in self.hub.lfs else 404, {}),
        }
        if path in fixed:
            return fixed[path]()
        for pattern, method in (
            (r"/lfs/([0-9a-f]{64})", self.put_lfs),
            (r"/(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", self.lfs_batch),
            (r"/api/(model|dataset|space)s/([^/]+/[^/]+)(?:/(.*))?", self.repo_api),
            (r"/(?:(dataset|space)s/)?([^/]+/[^/]+)/(?:resolve|raw)/([^/]+|refs/[^/]+/[^/]+)/(.+)", self.download),
        ):
            found = re.fullmatch(pattern, path)
            if found:
                return method(*found.groups())
        return self.fail(404, "NotFound", "no such route")

    def whoami(self):
        user, role = self.who()
        if user is None:
            return self.fail(401, "InvalidToken", "Invalid credentials in Authorization header")
        token = {"displayName": "t", "role": role}
        value = {"type": "user", "id": "1", "name": user, "fullname": user, "orgs": []}
        return self.send(200, {**value, "auth": {"type": "access_token", "accessToken": token}})

    def validate_yaml(self):
        """A few of the Hub's own rules for the head of a card."""
        asked = self.json()
        head = re.match(r"---\n(.*?)\n---\n", asked["content"], re.DOTALL)
        data = yaml.safe_load(head[1]) if head else None
        errors = []
        if not isinstance(data, dict):
            errors = ["expected metadata between two lines of ---"]
        else:
            if data.get("license", "unknown") not in LICENSES:
                errors.append(f"license: {data['license']} is no license")
            errors += list(_check_model_index(data.get("model-index", [])))
            tasks = data.get("task_categories", []) + ([data["pipeline_tag"]] if "pipeline_tag" in data else [])
            errors += [f"{task} is no task" for task in tasks if task not in TASKS]
            errors += [
                f"{code} is no language" for code in data.get("language", []) if not re.fullmatch("[a-z]{2,3}", code)
            ]
        self.send(200 if not errors else 400, {"errors": [{"message": m} for m in errors], "warnings": []})

    def create_repo(self):
        asked, (user, role) = self.json(), self.who()
        repo_type = asked.get("type") or "model"
        repo_id = f"{asked.get('organization') or user}/{asked['name']}"
        if user is None:
            return self.fail(401, "Unauthorized", "Invalid username or password.")
        if role != "write" or not repo_id.startswith(f"{user}/"):
            return self.fail(
                403, "Forbidden", f"You don't have the rights to create a {repo_type} under this namespace"
            )
        url = f"{self.hub.url}/{'' if repo_type == 'model' else repo_type + 's/'}{repo_id}"
        if (repo_type, repo_id) in self.hub.repos:
            return self.send(409, {"error": "You already created this repo", "url": url})
        is_private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repos[repo_type, repo_id] = Repo(is_private)
        return self.send(200, {"url": url, "name": repo_id, "id": repo_id})

    def put_lfs(self, sha256):
        if hashlib.sha256(self.body).hexdigest() != sha256:
            return self.fail(400, "", "sha mismatch")
        self.hub.lfs[sha256] = self.body
        return self.send(200, raw=b"")

    def lfs_batch(self, _, repo_id):
        if not self.may_write(repo_id):
            return None
        objects = []
        for asked in self.json()["objects"]:
            entry = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.lfs:
                actions = {"upload": f"{self.hub.url}/lfs/{asked['oid']}", "verify": f"{self.hub.url}/lfs/verify"}
                entry["actions"] = {name: {"href": href, "header": {}} for name, href in actions.items()}
            objects.append(entry)
        headers = {"Content-Type": "application/vnd.git-lfs+json"}
        return self.send(200, {"transfer": "basic", "objects": objects}, headers)

    def may_write(self, repo_id):
        user, role = self.who()
        if user is None:
            self.fail(401, "Unauthorized", "Invalid username or password.")
        elif role != "write" or not repo_id.startswith(f"{user}/"):
            self.fail(403, "Forbidden", "Forbidden: you must have write access to upload to this repository.")
        else:
            return True
        return False

    def find_repo(self, repo_type, repo_id):
        """The repo, or None after the answer that there is none for this user."""
        repo, (user, _) = self.hub.repos.get((repo_type, repo_id)), self.who()
        if repo is None or (repo.is_private and (user is None or not repo_id.startswith(f"{user}/"))):
            self.fail(401 if user is None else 404, "RepoNotFound", "Repository not found")
            return None
        return repo

    def repo_api(self, repo_type, repo_id, rest):
        repo = self.find_repo(repo_type, repo_id)
        if repo is None:
            return None
        verb, _, argument = (rest or "").partition("/")
        if verb == "settings":
            return self.change_settings(repo, repo_id)
        if verb == "auth-check":
            return self.send(200, {})
        if verb == "refs":
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in repo.branches.items()
            ]
            return self.send(200, {"branches": branches, "tags": [], "converts": []})
        revision, _, folder = argument.partition("/")
        sha = repo.resolve(revision or "main")
        if sha is None:
            return self.fail(404, "RevisionNotFound")
        files = repo.commits[sha]
        if verb == "preupload":
            return self.send(200, {"files": [_upload_mode(asked, files) for asked in self.json()["files"]]})
        if verb == "commits":
            named = {"authors": [], "date": NOW, "title": "x", "message": ""}
            return self.send(200, [{"id": commit, **named} for commit in reversed(repo.commits)])
        if verb == "commit":
            return self.commit(repo, repo_type, repo_id, revision, files, sha)
        if verb in ("", "revision"):
            return self.send(200, self.describe(repo, repo_type, repo_id, files, sha))
        if verb == "tree":
            return self.list_tree(files, folder.strip("/"))
        if verb == "paths-info":
            return self.list_paths(files)
        return self.fail(404, "NotFound", "no such route")

    def change_settings(self, repo, repo_id):
        if not self.may_write(repo_id):
            return None
        asked = self.json()
        repo.gated = asked.get("gated", repo.gated)
        if "visibility" in asked:
            repo.is_private = asked["visibility"] == "private"
        return self.send(200, {"gated": repo.gated})

    def commit(self, repo, repo_type, repo_id, branch, files, sha):
        if not self.may_write(repo_id):
            return None
        files, header = dict(files), {}
        for line in filter(bytes.strip, self.body.splitlines()):
            entry = json.loads(line)
            key, value = entry["key"], entry["value"]
            if key == "header":
                header = value
            elif key == "file":
                is_base64 = value.get("encoding") == "base64"
                data = base64.b64decode(value["content"]) if is_base64 else value["content"].encode()
                files[value["path"]] = File(data)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.lfs:
                    return self.fail(400, "", f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = File(self.hub.lfs[value["oid"]], is_lfs=True)
            elif key == "deletedFile":
                files.pop(value["path"])
            elif key == "deletedFolder":
                prefix = value["path"].rstrip("/") + "/"
                files = {path: file for path, file in files.items() if not path.startswith(prefix)}
        if header.get("parentCommit") not in (None, sha):
            return self.fail(412, "", "A commit has happened since. Please refresh and try again.")
        new = repo.commit(branch, files)
        url = f"{self.hub.url}/{'' if repo_type == 'model' else repo_type + 's/'}{repo_id}/commit/{new}"
        return self.send(200, {"success": True, "commitOid": new, "commitUrl": url, "hookOutput": ""})

    def describe(self, repo, repo_type, repo_id, files, sha):
        siblings = [
            {"rfilename": path, "size": len(file.data), "blobId": file.git_oid} for path, file in sorted(files.items())
        ]
        return {
            "_id": "1", "id": repo_id, f"{repo_type}Id": repo_id, "author": repo_id.split("/")[0], "sha": sha,
            "lastModified": NOW, "createdAt": NOW, "private": repo.is_private, "gated": repo.gated, "disabled": False,
            "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
        }  # fmt: skip

    def list_tree(self, files, folder):
        prefix = f"{folder}/" if folder else ""
        if folder and not any(path.startswith(prefix) for path in files):
            return self.fail(404, "EntryNotFound", f"{folder} does not exist")
        is_recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries, folders = [], set()
        for path, file in sorted(files.items()):
            if not path.startswith(prefix):
                continue
            parts = path[len(prefix) :].split("/")
            depth = len(parts) if is_recursive else min(2, len(parts))
            for i in range(1, depth):
                name = prefix + "/".join(parts[:i])
                if name not in folders:
                    folders.add(name)
                    entries.append(_folder_entry(name))
            if is_recursive or len(parts) == 1:
                entries.append(_file_entry(path, file))
        return self.send(200, entries)

    def list_paths(self, files):
        try:
            paths = self.json()["paths"]
        except ValueError:
            paths = parse_qs(self.body.decode()).get("paths", [])
        entries = []
        for path in [paths] if isinstance(paths, str) else paths:
            if path in files:
                entries.append(_file_entry(path, files[path]))
            elif any(other.startswith(path.rstrip("/") + "/") for other in files):
                entries.append(_folder_entry(path))
        return self.send(200, entries)

    def download(self, repo_type, repo_id, revision, path):
        repo = self.find_repo(repo_type or "model", repo_id)
        if repo is None:
            return None
        sha = repo.resolve(revision)
        if sha is None:
            return self.fail(404, "RevisionNotFound")
        file = repo.commits[sha].get(path)
        if file is None:
            headers = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": sha}
            return self.send(404, {"error": "Entry not found"}, headers)
        data, etag = file.data, f'"{file.sha256 if file.is_lfs else file.git_oid}"'
        headers = {
            "X-Repo-Commit": sha, "ETag": etag, "X-Linked-ETag": etag, "X-Linked-Size": str(len(data)),
            "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "Content-Length": str(len(data)),
        }  # fmt: skip
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if self.command == "HEAD" or not asked:
            return self.send(200, headers=headers, raw=data)
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        part = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Content-Length": str(last - first + 1)}
        return self.send(206, headers={**headers, **part}, raw=data[first : last + 1])


def _check_model_index(index):
    """What the Hub's documentation of a model's card requires; a dataset's type is a name of a repo, or a word."""
    for model in index:
        if not isinstance(model.get("name"), str):
            yield "model-index: name is required"
        for result in model["results"]:
            dataset, metrics = result.get("dataset", {}), result.get("metrics")
            if result.get("task", {}).get("type") not in TASKS:
                yield "model-index: task.type is required"
            if not re.fullmatch(r"(?:[\w-]+/)?[\w.-]+", dataset.get("type") or ""):
                yield f"model-index: dataset.type {dataset.get('type')!r} does not match the required pattern"
            if not isinstance(dataset.get("name"), str):
                yield "model-index: dataset.name is required"
            if not metrics or any(not m.get("type") or not isinstance(m.get("value"), int | float) for m in metrics):
                yield "model-index: metrics need a type and a value"


def _upload_mode(asked, files):
    is_lfs = asked["path"].endswith(LFS_SUFFIXES) or asked["size"] > 10_000_000
    file = files.get(asked["path"])
    oid = None if file is None else file.sha256 if file.is_lfs else file.git_oid
    return {"path": asked["path"], "uploadMode": "lfs" if is_lfs else "regular", "shouldIgnore": False, "oid": oid}


_LAST_COMMIT = {"id": "0" * 40, "title": "x", "date": NOW}


def _file_entry(path, file):
    entry = {"type": "file", "oid": file.git_oid, "size": len(file.data), "path": path, "lastCommit": _LAST_COMMIT}
    if file.is_lfs:
        entry["lfs"] = {"oid": file.sha256, "size": len(file.data), "pointerSize": 130}
    return entry


def _folder_entry(path):
    oid = hashlib.sha1(path.encode()).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path, "lastCommit": _LAST_COMMIT}


if __name__ == "__main__":
    with Hub(int(sys.argv[1])):
        threading.Event().wait()
