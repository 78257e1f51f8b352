"""Takes the traces that a measured server exports, and forgets them: a server that cannot export pays another price."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from loadtests.servers import HOST, free_port

_LONGEST_BYTES: Final = 16 * 1024 * 1024


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if length > _LONGEST_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self.rfile.read(length)
        # An empty ExportTraceServiceResponse: all was taken.
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: stderr shows the progress of the run."""


@contextmanager
def collector() -> Iterator[int]:
    """Its port, while it is wanted."""
    server = ThreadingHTTPServer((HOST, free_port()), _Taker)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
