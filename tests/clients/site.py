"""The servers of the world, for tests: files over HTTP and HTTPS, registries of npm, Python and Rust
with one package each, a repository of git over HTTP, and a place that takes whatever is sent.

    site.py DIRECTORY CERTIFICATE KEY

The first line that it prints has the ports of HTTP and HTTPS. It ends when its standard input does.
"""

import base64
import hashlib
import http.server
import io
import json
import os
import random
import ssl
import subprocess
import sys
import tarfile
import threading
import zipfile

ROOT, CERTIFICATE, KEY = sys.argv[1:]
BIG = 50 * 1024 * 1024


def put(path, content):
    path = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def npm():
    described = {"name": "thing", "version": "1.0.0"}
    module = "module.exports = 'a thing of npm'\n"
    package = tar({"package/package.json": json.dumps(described), "package/index.js": module})
    digest = base64.b64encode(hashlib.sha512(package).digest()).decode()
    url = "https://npm.example/npm/thing-1.0.0.tgz"
    described["dist"] = {"tarball": url, "integrity": "sha512-" + digest}
    versions = {"name": "thing", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": described}}
    put("npm/thing", json.dumps(versions))
    put("npm/thing-1.0.0.tgz", package)


def pypi():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        info = "thing-1.0.dist-info/"
        wheel.writestr("thing.py", "NAME = 'a thing of Python'\n")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    name = "thing-1.0-py3-none-any.whl"
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    put("pypi/" + name, out.getvalue())
    put("pypi/simple/thing/index.html", f'<a href="../../{name}#sha256={digest}">{name}</a>')


def cargo():
    manifest = '[package]\nname = "thing"\nversion = "1.0.0"\nedition = "2021"\n'
    source = 'pub const NAME: &str = "a thing of Rust";\n'
    crate = tar({"thing-1.0.0/Cargo.toml": manifest, "thing-1.0.0/src/lib.rs": source})
    entry = {"name": "thing", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False}
    entry["cksum"] = hashlib.sha256(crate).hexdigest()
    put("cargo/th/in/thing", json.dumps(entry))
    put("cargo/thing-1.0.0.crate", crate)
    url = "https://crates.example/cargo/{crate}-{version}.crate"
    put("cargo/config.json", json.dumps({"dl": url, "api": None}))


def repository():
    git = lambda *words: subprocess.run(["git", *words], check=True, cwd=ROOT)
    git("init", "--quiet", "--initial-branch=main", "work")
    put("work/data", random.Random(7).randbytes(3 * 1024 * 1024))
    git("-C", "work", "add", "data")
    git("-C", "work", "commit", "--quiet", "--message=data")
    git("clone", "--quiet", "--bare", "work", "repository.git")
    git("-C", "repository.git", "config", "http.receivepack", "true")
    git("-C", "repository.git", "update-server-info")


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *words):
        super().__init__(*words, directory=ROOT)

    def log_message(self, *words):
        pass

    def answer(self, content, kind="text/plain", status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = bytearray()
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def smart_git(self):
        path, _, query = self.path.partition("?")
        environment = dict(
            os.environ,
            GIT_PROJECT_ROOT=ROOT,
            GIT_HTTP_EXPORT_ALL="1",
            REQUEST_METHOD=self.command,
            PATH_INFO=path.removeprefix("/smart"),
            QUERY_STRING=query,
            CONTENT_TYPE=self.headers.get("Content-Type", ""),
            HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
            GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
        )
        words = ["git", "http-backend"]
        run = subprocess.run(words, input=self.body(), env=environment, stdout=subprocess.PIPE)
        head, _, content = run.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.get("Status", "200").split()[0])
        self.answer(content, fields.get("Content-Type", "text/plain"), status)

    def do_GET(self):
        if self.path == "/big":
            content = random.Random(7).randbytes(BIG)
            self.answer(content, "application/octet-stream")
        elif self.path == "/hello":
            self.answer(b"hello from " + self.headers["Host"].encode() + b"\n")
        elif self.path.startswith("/smart/"):
            self.smart_git()
        else:
            super().do_GET()

    def do_POST(self):
        if self.path.startswith("/smart/"):
            self.smart_git()
        else:
            self.answer(hashlib.sha256(self.body()).hexdigest().encode())

    do_PUT = do_POST


def serve(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


npm()
pypi()
cargo()
repository()
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(CERTIFICATE, KEY)
print(serve(), serve(tls), flush=True)
sys.stdin.read()
