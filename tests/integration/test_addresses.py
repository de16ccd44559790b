# SPDX-License-Identifier: Apache-2.0
"""Vendors below a path of their host, and at an IPv6 address."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading

import pytest

from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob

#: For each vendor its hook, an import, the path of a poll and an answer to it.
VENDORS = {
    "lucca": (LuccaHook, LuccaLeaveImport("1"), "/timmi-absences/api/imports/v1.0/leavePeriods/1/progress", 57),
    "rocketchat": (
        RocketChatHook,
        RocketChatImport(),
        "/api/v1/getImportProgress",
        {"success": True, "step": "importer_importing_users", "count": {"completed": 57, "error": 0, "total": 100}},
    ),
    "zilliz": (
        ZillizHook,
        ZillizImportJob("1"),
        "/v2/vectordb/jobs/import/describe",
        {"code": 0, "data": {"state": "Importing", "progress": 57}},
    ),
    "leadsy": (
        LeadsyHook,
        LeadsyImport("1"),
        "/api/v1/import/1",
        {"import_file": {"status_name": "processing", "total_records": 100, "processed_records": 57}},
    ),
}


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def serving(address, answer):
    """Answer every request alike, and give the server's port and the paths that were requested."""
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            paths.append(self.path)
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        daemon_threads = True

    server = Server((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1], paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("127.0.0.1", "/gateway/a%20b"),
        pytest.param("::1", "", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")),
        pytest.param("::1", "/chat", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")),
    ],
)
def test_a_vendor_is_polled_below_the_path_of_its_host_and_at_an_ipv6_address(
    get_by, connect_to, running_sandbox, vendor, address, path
):
    hook_class, import_, path_of_poll, answer = VENDORS[vendor]
    with serving(address, answer) as (port, paths):
        host = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
        connect_to(vendor, host=f"{host}{path}", port=None, schema=None, extra={"api_version": "v2"})
        assert get_by(hook_class(), import_).percent == 57
    assert paths == [f"{path}{path_of_poll}"]
