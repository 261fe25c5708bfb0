#!/usr/bin/env python3
"""Receives alerts over HTTP, and verifies them by the Standard Webhooks specification. Uses the standard library only.

    python3 tests/alert_receiver.py SECRET [TOLERANCE]

SECRET is `whsec_` and base64, or a raw text. Requests whose timestamp differs from the current time by more than TOLERANCE
seconds (300 by default) are rejected. The first line of the output is the port. Each further line is a JSON object with the
`id` of a request, `genuine`, `new` (`false` if the id was received before), and the `body` as JSON.
"""

import base64
import hashlib
import hmac
import http.server
import json
import sys
import time


def key(secret: str) -> bytes:
    prefix = "whsec_"
    return base64.b64decode(secret[len(prefix):], validate=True) if secret.startswith(prefix) else secret.encode()


def is_genuine(secret: bytes, headers, body: bytes, tolerance: int) -> bool:
    message, sent, signatures = (headers.get("webhook-" + name, "") for name in ("id", "timestamp", "signature"))
    if not sent.isdigit() or abs(time.time() - int(sent)) > tolerance:
        return False
    signed = f"{message}.{sent}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(expected, given) for given in signatures.split())


class Receiver(http.server.BaseHTTPRequestHandler):
    secret, tolerance, seen = b"", 300, set()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        genuine = is_genuine(self.secret, self.headers, body, self.tolerance)
        message = self.headers.get("webhook-id")
        new = genuine and message not in self.seen
        if genuine:
            self.seen.add(message)
        received = {"id": message, "genuine": genuine, "new": new, "body": json.loads(body)}
        print(json.dumps(received), flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    Receiver.secret = key(sys.argv[1])
    if len(sys.argv) > 2:
        Receiver.tolerance = int(sys.argv[2])
    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
