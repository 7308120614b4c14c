"""What the programs of docs/clients.md do with each kind of end: a server that answers one client with five responses in turn."""

import queue
import socket
import threading
import time

import snippets
from consumers import ADDRESS, prepared

HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\naccess-control-allow-origin: *\r\ntransfer-encoding: chunked\r\n\r\n"
BUSY = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\naccess-control-allow-origin: *\r\ncontent-length: 0\r\n\r\n"
COLUMNS = ("`id` without data is kept", "comes back after the end of a 200", "waits for `retry`", "comes back after a cut",
           "keeps its cursor over a stream without one", "comes back after 503")


def chunk(text):
    return f"{len(text):x}\r\n{text}\r\n"


RETRY_MS = 4500
ANSWERS = [
    # (what is written, whether the body is ended or cut)
    # Longer than any program waits of its own accord, chance included.
    (HEAD + chunk(f"retry: {RETRY_MS}\nid: 1-1\n\n"), "end"),
    (HEAD + chunk("retry: 600\nid: 2-2\ndata: 2\n\n"), "cut"),
    (HEAD + chunk("retry: 600\n\nevent: sluice.shed\ndata: {}\n\n"), "end"),
    (BUSY, "close"),
    (HEAD + chunk("retry: 600\nid: 5-5\n\n"), "hold"),
]


class Server:
    """Requests as they came: (when, the cursor); each is answered by the next of ANSWERS."""

    def __init__(self):
        self.requests, self.ended = queue.Queue(), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        answers = iter(ANSWERS)
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return  # closed: the program has shown what it does
            request = self._read(connection)
            if request is None or "/v1/events" not in request.split("\n", 1)[0]:
                connection.close()
                continue
            self.requests.put((time.monotonic(), cursor_of(request)))
            answer, how = next(answers, (None, None))
            if answer is None:
                connection.close()
                continue
            connection.sendall(answer.encode())
            time.sleep(0.3)
            if how == "end":
                connection.sendall(b"0\r\n\r\n")
            if how != "hold":
                connection.close()
            self.ended.append(time.monotonic())

    @staticmethod
    def _read(connection):
        connection.settimeout(5)
        request = b""
        try:
            while b"\r\n\r\n" not in request:
                part = connection.recv(4096)
                if not part:
                    return None
                request += part
        except OSError:
            return None
        return request.decode()

    def next(self, seconds=20):
        try:
            return self.requests.get(timeout=seconds)
        except queue.Empty:
            return None


def cursor_of(request):
    for line in request.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "last-event-id":
            return value.strip()
    return ""


def row(server):
    """A word for each column."""
    said = lambda truth: "yes" if truth else "no"
    if server.next(60) is None:
        raise TimeoutError("no request came")
    second = server.next()
    if second is None:
        return ["?", "no", "?", "?", "?", "?"]
    waited = second[0] - server.ended[0]
    print(f"table: waited {waited:.2f} s after retry: {RETRY_MS}", flush=True)
    third = server.next()
    fourth = server.next() if third else None
    fifth = server.next() if fourth else None
    return [said(second[1] == "1-1"), "yes", said(waited > RETRY_MS / 2000), said(third and third[1] == "2-2"),
            said(fourth and fourth[1] == "2-2") if fourth else "?", said(fifth) if fourth else "?"]


def table(page, report):
    """The table of the page, a row for each program that can run here."""
    rows = {}
    for name in [snippet.language for snippet in snippets.of(page)]:
        server = Server()
        programs = prepared(page, {ADDRESS: server.url}, report, only=name)
        if name not in programs:
            continue
        program, code = programs[name]
        program.start(code)
        try:
            rows[name] = row(server)
        finally:
            program.stop()
            server.socket.close()
    return rows


def markdown(rows):
    names = {"browser": "browser (Chromium)", "node": "Node.js, eventsource", "curl": "curl in a loop", "python": "Python, httpx-sse",
             "go": "Go, go-sse", "rust": "Rust, eventsource-client", "java": "Java, okhttp-eventsource"}
    lines = ["| program | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    return lines + [f"| {names[name]} | " + " | ".join(row) + " |" for name, row in rows.items()]
