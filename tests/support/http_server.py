# SPDX-License-Identifier: Apache-2.0
"""A server for responses that the sandbox does not give, and its certificates."""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import socket
import struct
import threading
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@contextlib.contextmanager
def serving(answer, tls=None):
    """Serve one response, and yield the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            headers, body = answer
            self.send_response(200)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_CONNECT(self):
            self.send_error(407)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """Ignore errors of clients, such as of one that refuses the certificate."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate_file(folder, *, address="127.0.0.1", days=(-1, 1)):
    """Write a self-signed certificate for an address and its key to a file, and return its path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return str(file)


class Exchange:
    """One request as a server reads it from its connection, and the answer that it sends."""

    def __init__(self, client):
        self.client = client
        self.file = client.makefile("rb")
        self.request_line = self.file.readline().decode().rstrip()
        lines = iter(lambda: self.file.readline().decode().rstrip(), "")
        #: The headers, with names in lower case.
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        #: The body, as far as it was read and kept.
        self.body = b""

    @property
    def length(self):
        return int(self.headers["content-length"])

    def read_body(self, size=None):
        """Read and keep the body, or the beginning of it."""
        self.body += self.file.read(self.length if size is None else size)

    def skip_body(self):
        """Read the body without keeping it, and return its length."""
        buffer, length = memoryview(bytearray(1 << 20)), 0
        while length < self.length and (size := self.file.readinto(buffer[: self.length - length])):
            length += size
        return length

    def answer(self, status=200, body=b"{}"):
        self.client.sendall(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (status, len(body), body)
        )

    def reset(self):
        """Break the connection off, as a process that dies."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def drain(self):
        """Answer no more, and read until the client closes."""
        self.client.shutdown(socket.SHUT_WR)
        while self.file.read1(1 << 20):
            pass


@contextlib.contextmanager
def handling(handle):
    """Serve connections of one request each by a function of an exchange, and give the port and the exchanges."""
    listener, exchanges, threads = socket.create_server(("127.0.0.1", 0)), [], []

    def serve_one(client):
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(10)
            exchange = Exchange(client)
            exchanges.append(exchange)
            with exchange.file:
                handle(exchange)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=serve_one, args=(client,)))
                threads[-1].start()

    acceptor = threading.Thread(target=serve)
    acceptor.start()
    try:
        yield listener.getsockname()[1], exchanges
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join()
