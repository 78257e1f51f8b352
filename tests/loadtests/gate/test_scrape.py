"""Counters before and after, as the server tells them."""

import math
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from loadtests.gate.scrape import ScrapeError, deltas, scrape
from tests.support.net import free_port

BEFORE = """
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="200"} 100
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="503"} 1
# TYPE tasks_cache_hits counter
tasks_cache_hits_total{tier="process",kind="list"} 10
# TYPE db_client_connection_wait_time_seconds histogram
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="read",le="0.001"} 50
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="read",le="0.005"} 50
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="read",le="+Inf"} 50
"""
AFTER = """
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="200"} 160
http_server_request_duration_seconds_count{http_route="/b",http_response_status_code="201"} 30
http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="503"} 4
# TYPE tasks_cache_hits counter
tasks_cache_hits_total{tier="process",kind="list"} 20
tasks_cache_hits_total{tier="valkey",kind="list"} 5
# TYPE tasks_cache_misses counter
tasks_cache_misses_total{kind="list"} 45
# TYPE db_client_operation_duration_seconds histogram
db_client_operation_duration_seconds_count{db_client_connection_pool_name="read"} 60
# TYPE db_client_connection_wait_time_seconds histogram
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="read",le="0.001"} 140
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="read",le="0.005"} 146
db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="read",le="+Inf"} 150
"""


class Metrics(BaseHTTPRequestHandler):
    text = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", free_port()), Metrics) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_what_was_counted_between_two_scrapes(port: int) -> None:
    Metrics.text = BEFORE
    before = scrape("127.0.0.1", port)
    Metrics.text = AFTER
    found = deltas(before, scrape("127.0.0.1", port))
    assert (found.requests, found.errors) == (93, 3)
    assert found.hit_ratio == 15 / 60
    assert found.statements_per_request == 60 / 93
    # 90 of the 100 waits were within 1 ms, 96 within 5.
    assert found.pool_wait_p95_s == 0.005


def test_nothing_asked_is_no_ratio() -> None:
    found = deltas({}, {})
    assert (found.hit_ratio, found.statements_per_request, found.pool_wait_p95_s) == (None, None, 0.0)


def test_waits_beyond_the_last_bucket_are_without_bound(port: int) -> None:
    Metrics.text = AFTER.replace("146", "141").replace("140", "141")
    assert deltas({}, scrape("127.0.0.1", port)).pool_wait_p95_s == math.inf


def test_a_server_without_metrics_is_said() -> None:
    with pytest.raises(ScrapeError, match="cannot be read"):
        scrape("127.0.0.1", free_port())
