"""A receiver of webhooks that checks signatures by the rule of Standard Webhooks: `receiver.py SECRET`.

Says `port N`, then one JSON line for each request. The first two are answered with 500, the others with
204; a request with a wrong signature is answered with 401 and told as such.
"""

import base64
import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    seen = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        key = base64.b64decode(sys.argv[1].removeprefix("whsec_"))
        number, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = f"{number}.{at}.".encode() + body
        good = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        signed_well = good in self.headers["webhook-signature"].split(" ")
        Receiver.seen += 1
        status = 401 if not signed_well else 500 if Receiver.seen <= 2 else 204
        self.send_response(status)
        self.end_headers()
        event = json.loads(body)
        told = {"id": number, "status": status, "type": event["type"], "step": event["data"]["step"]}
        print(json.dumps(told), flush=True)

    def log_message(self, *_):
        """What matters is told on stdout."""


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(f"port {server.server_port}", flush=True)
server.serve_forever()
