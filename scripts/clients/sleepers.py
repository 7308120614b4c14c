"""The programs of docs/clients.md, and the page of docs/access.md, on a node that wants tokens: the network is away until their
token has expired. Each must be told so when it comes back, take a new token, and print every event, once and in order."""

import base64
import hashlib
import hmac
import json
import time

import consumers
import snippets
from browser import Browser
from stage import Stage, within

SECRET = "a secret of thirty-two characters"
LIVES_S = 8
# What each program is answered while the token that it has is the old one.
ASKED = "sluice_auth_renewals_asked_total"


def token(seconds):
    """For the topic of the programs, signed as docs/access.md signs by openssl."""
    encode = lambda part: base64.urlsafe_b64encode(part).rstrip(b"=")
    claims = {"sub": "u7", "exp": int(time.time()) + seconds, "sluice": {"subscribe": ["orders"]}}
    signed = encode(b'{"alg":"HS256"}') + b"." + encode(json.dumps(claims).encode())
    return (signed + b"." + encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256))).decode()


def give(programs, text):
    """Renews the token of every program: its file, or what the application behind a page sets as the cookie."""
    for program, _ in programs.values():
        if isinstance(program, Browser):
            program.session = text
        else:
            (program.folder / "token").write_text(text)


def run(sluice, clients, access, report):
    stage = Stage(sluice)
    programs = {}
    try:
        programs = {name: both for name, both in consumers.prepared(clients, {consumers.ADDRESS: stage.url}, report).items()
                    if not isinstance(both[0], Browser)}
        login = next(snippet for snippet in snippets.of(access) if snippet.language == "login")
        try:
            page = Browser()
            programs["browser"] = (page, login.at({consumers.ADDRESS: stage.url}).code)
        except Exception as why:  # no browser here
            report.skipped("browser", why)
        origins = [program.origin for program, _ in programs.values() if isinstance(program, Browser)]
        stage.kill()
        stage.environment |= {
            "SLUICE_AUTH__ANONYMOUS__SUBSCRIBE": "[]", "SLUICE_AUTH__JWT__SECRET": SECRET, "SLUICE_AUTH__LEEWAY_S": "0",
            "SLUICE_AUTH__EXPIRY_JITTER_S": "0", "SLUICE_LIMITS__REFUSED_RETRY_MS": "1000",
            "SLUICE_CORS__ORIGINS": json.dumps(origins), "SLUICE_CORS__CREDENTIALS": "true",
        }
        stage.start()
        give(programs, token(600))
        for program, code in programs.values():
            program.start(code)
        all_there = lambda: stage.streams() == len(programs)
        within(90, all_there, f"{len(programs)} streams")
        publish = stage.publisher("orders")
        publish("awake")
        for name, (program, _) in programs.items():
            within(60, lambda: "awake" in program.lines, f"the first event at {name}")

        # Back for a moment with a token that soon expires, and away until it has.
        ends = time.time() + LIVES_S
        give(programs, token(LIVES_S))
        stage.kill()
        stage.start()
        within(60, all_there, "every client with the token that expires")
        stage.kill()
        publish("asleep")
        while time.time() < ends + 1:
            time.sleep(0.1)
        stage.start()
        within(60, lambda: stage.metric(ASKED) >= len(programs), "every client to be told")
        give(programs, token(600))
        within(90, all_there, "every client back with its new token")
        publish("awake again")
        expected = ["awake", "asleep", "awake again"]
        for name, (program, _) in programs.items():
            try:
                within(60, lambda: expected[-1] in program.lines, "the last event")
            except TimeoutError:
                pass
            text = f"told {int(stage.metric(ASKED))} times in all, printed {program.lines}"
            report.passed(name, text) if program.lines == expected else report.failed(name, text)
    finally:
        for program, _ in programs.values():
            if not isinstance(program, Browser):
                (program.folder / "token").unlink(missing_ok=True)
            if program.process:
                program.stop()
        stage.stop()
