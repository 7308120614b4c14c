"""The program of a page in a real browser: Chromium, told by a page of ours whose console reports here."""

import http.server
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from toolchains import Missing

PAGE = """<!doctype html><title>sluice</title><script>
let last = Promise.resolve();
const tell = (line) => { last = last.then(() => fetch('/log', { method: 'POST', body: String(line) })); };
console.log = tell;
console.error = (line) => tell('! ' + line);
</script><script>
%s
</script>"""


class Browser:
    """Chromium on the program; `lines` is what it logged."""

    def __init__(self):
        self.program = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
        if not self.program:
            raise Missing("no chromium here")
        self.lines = []
        # What the application sets as the cookie of whoever loads the page or refreshes its session.
        self.session = None
        browser = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def set_cookie(self):
                if browser.session:
                    self.send_header("set-cookie", f"sluice_token={browser.session}; Path=/; HttpOnly; SameSite=Lax")

            def do_GET(self):
                body = browser.page.encode() if self.path == "/" else b""
                self.send_response(200 if body else 404)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.set_cookie()
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self.send_response(204)
                if self.path == "/session/refresh":
                    self.set_cookie()
                else:
                    browser.lines.append(body)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.process = self.profile = None

    def start(self, code):
        self.page = PAGE % code
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.profile = tempfile.TemporaryDirectory(prefix="sluice-browser-", ignore_cleanup_errors=True)
        log = (Path(self.profile.name) / "log").open("w")
        command = [self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   f"--user-data-dir={self.profile.name}", self.origin + "/"]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def poll(self):
        return self.process.poll()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.profile.cleanup()
