import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from huggingface_hub import constants

from finetune import hub
from finetune.hub import hub_problem


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client ask, and make sure that it only ever asks this machine."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture(params=[200, 401, 404, 503])
def answering_port(request: pytest.FixtureRequest) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.end_headers()
            self.wfile.write(b'{"id": "a/b", "sha": "1"}')

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_any_answer_is_an_answer(answering_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{answering_port}")
    assert hub_problem("a/b", kind="model") is None
    assert hub_problem("a/b", kind="dataset") is None


def test_a_hub_that_cannot_be_reached_is_not_asked_again() -> None:
    started = time.monotonic()
    problem = hub_problem("a/b", kind="dataset")
    assert problem is not None
    assert problem.startswith("ConnectError: ")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("default", "own"), [(0.2, constants.DEFAULT_ETAG_TIMEOUT), (60, 0.2)])
def test_a_hub_that_says_nothing_is_waited_for_as_long_as_the_setting_says(
    default: float, own: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_SECONDS", default)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", own)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        problem = hub_problem("a/b", kind="model") or ""
        assert problem.startswith("ReadTimeout: ")
        assert "HF_HUB_ETAG_TIMEOUT, now 0.2 s," in problem
        assert time.monotonic() - started < 5


def test_offline_mode_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert (hub_problem("a/b", kind="model") or "").startswith("OfflineModeIsEnabled: ")


def test_a_name_that_no_repository_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="a/b/c"):
        hub_problem("a/b/c", kind="model")
