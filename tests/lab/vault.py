#!/usr/bin/env python3
"""A stand-in for a Vault server (or OpenBao) with a KV engine of version 2, that can be told to fail.

    vault.py ADDRESS PORT DIRECTORY [CERT KEY]

Only what pg_tde asks of one: the mount, the list of secrets, and reading and writing a secret. With CERT and KEY it speaks TLS.
The directory is how a test talks to it, at any time:

    token         the token that is good (must be there at the start)
    fail          if there: the HTTP status that each request for a secret's content is answered with. Writes succeed all the same.
    secrets.json  {path: [content, of, each, version]}: all that was written
    log           a line for each request: method, path, status
"""

import json
import pathlib
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOUNT = "secret"
BODY_MAX = 65536
lock = threading.Lock()


class Vault(BaseHTTPRequestHandler):
    directory: pathlib.Path

    def do_GET(self):
        """Reads: the mount, the list, a secret."""
        path = self.path.split("?")[0].removeprefix("/v1/")
        if path == f"sys/mounts/{MOUNT}":
            self.authorised(lambda: (200, {"data": {"type": "kv", "options": {"version": "2"}}}))
        elif path == f"{MOUNT}/metadata/":
            self.authorised(self.list)
        elif path.startswith(f"{MOUNT}/data/"):
            self.authorised(lambda: self.read(path.removeprefix(f"{MOUNT}/data/")))
        else:
            self.answer(404, {"errors": []})

    def do_POST(self):
        """Writes: another version of a secret."""
        size = int(self.headers.get("Content-Length", 0))
        path = self.path.removeprefix("/v1/")
        if size > BODY_MAX or not path.startswith(f"{MOUNT}/data/"):
            self.answer(400, {"errors": ["no such path, or too large"]})
            return
        content = json.loads(self.rfile.read(size))["data"]
        self.authorised(lambda: self.write(path.removeprefix(f"{MOUNT}/data/"), content))

    do_PUT = do_POST

    def list(self):
        names = sorted(self.secrets())
        return (200, {"data": {"keys": names}}) if names else (404, {"errors": []})

    def read(self, name):
        fail = self.directory / "fail"
        if fail.exists():
            return int(fail.read_text()), {"errors": ["told to fail"]}
        versions = self.secrets().get(name)
        if versions is None:
            return 404, {"errors": []}
        return 200, {"data": {"data": versions[-1], "metadata": {"version": len(versions)}}}

    def write(self, name, content):
        with lock:
            secrets = self.secrets()
            secrets.setdefault(name, []).append(content)
            new = self.directory / "secrets.json.new"
            new.write_text(json.dumps(secrets, indent=1, sort_keys=True) + "\n")
            new.rename(self.directory / "secrets.json")
        return 200, {"data": {"version": len(secrets[name])}}

    def secrets(self):
        path = self.directory / "secrets.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def authorised(self, then):
        good = (self.directory / "token").read_text().strip()
        self.answer(*(then() if self.headers.get("X-Vault-Token") == good else (403, {"errors": ["permission denied"]})))

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        with lock, (self.directory / "log").open("a") as log:
            log.write(f"{self.command} {self.path} {status}\n")

    def log_message(self, *_):
        pass


def main():
    address, port, directory, *tls = sys.argv[1:]
    Vault.directory = pathlib.Path(directory)
    server = ThreadingHTTPServer((address, int(port)), Vault)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
