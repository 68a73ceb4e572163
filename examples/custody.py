#!/usr/bin/env python3
"""A custody backend's first day, in seven steps, against `make run`.

    examples/custody.py                 # from the folder of the clone

It gets a signed key, opens a vault with a wallet for bitcoin and one for ether, gives
their addresses away, is told of the deposits by webhook, and pays out again: a signer
outside tallyd (examples/signer, built with Go) signs what tallyd has built. It ends
when both withdrawals are Completed and every event has come once, with a valid
signature.

Needs Python 3.8, Go, and a `tallyd dev` that runs with both local chains.
"""

import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from decimal import Decimal

CLONE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Where the withdrawals go: somebody else's addresses.
OUTSIDE = {"btc": "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh", "eth": "0x00000000000000000000000000000000c0ffee00"}
DEPOSIT = {"btc": "0.5", "eth": "2"}
WITHDRAW = {"btc": "0.1", "eth": "0.75"}


class Client:
    """Sends signed requests."""

    def __init__(self, url, key, secret):
        self.url, self.key, self.secret = url, key, secret

    def call(self, method, target, body=None, once=None):
        """Returns the decoded answer, and ends the program on a problem."""
        data = b"" if body is None else json.dumps(body).encode()
        stamp = str(int(time.time()))
        text = "\n".join([stamp, method, target, hashlib.sha256(data).hexdigest()])
        headers = {
            "X-API-Key": self.key,
            "X-Timestamp": stamp,
            "X-Signature": hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
        }
        if method == "POST":
            headers["Idempotency-Key"] = once or uuid.uuid4().hex
        return send(method, self.url + target, headers, data if body is not None else None)


def send(method, url, headers, data):
    """Sends one request and returns the decoded answer."""
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text, parse_float=Decimal) if text else None
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: {error.code} {error.read().decode(errors='replace')}")
    except urllib.error.URLError as error:
        sys.exit(f"{method} {url}: {error.reason}. Is tallyd running?")


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook's other end. It keeps every delivery with what it thinks of its signatures."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Delivery)
        self.secret = b""
        self.lock = threading.Lock()
        self.log = []  # (id, type, resource, data, valid) in the order they came

    def valid(self, headers, body):
        """Says whether both kinds of signature hold: Standard Webhooks, and that of the body alone."""
        stamp = headers.get("Webhook-Timestamp", "0")
        if abs(time.time() - int(stamp)) > 300:
            return False
        signed = b".".join([headers.get("Webhook-Id", "").encode(), stamp.encode(), body])
        wanted = "v1," + base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
        alone = "sha256=" + hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        return any(hmac.compare_digest(wanted, part) for part in headers.get("Webhook-Signature", "").split()) and hmac.compare_digest(
            alone, headers.get("X-Webhook-Signature", "")
        )

    def seen(self, kind, resource, **data):
        """Says whether an event of that kind about that resource came, with these members in its data."""
        with self.lock:
            return any(
                k == kind and r == resource and all(d.get(name) == value for name, value in data.items())
                for _, k, r, d, _ in self.log
            )


class Delivery(http.server.BaseHTTPRequestHandler):
    """One delivery."""

    def do_POST(self):  # the name is the library's
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        event = json.loads(body, parse_float=Decimal)
        with self.server.lock:
            self.server.log.append((event["id"], event["type"], event["resource_id"], event["data"] or {}, self.server.valid(self.headers, body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


def run(*command, stdin=None):
    """Runs a program and returns what it printed, and ends ours when it fails."""
    done = subprocess.run(command, input=stdin, cwd=CLONE, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def until(what, ready, patience=180):
    """Waits until ready() is true."""
    end = time.time() + patience
    while not ready():
        if time.time() > end:
            sys.exit(f"waited {patience} s in vain until {what}")
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".tallyd", help="folder of the tallyd dev that runs (default %(default)s)")
    parser.add_argument("--tallyd", default="bin/tallyd", help="the command (default %(default)s)")
    args = parser.parse_args()
    tallyd, data = os.path.abspath(args.tallyd), os.path.abspath(args.data)
    try:
        with open(os.path.join(data, "dev.json"), encoding="utf-8") as file:
            dev = json.load(file)
    except FileNotFoundError:
        sys.exit(f"{data}/dev.json is not there: start `make run`, or give --data")
    missing = {"btc", "eth"} - set(dev["chains"])
    if missing:
        sys.exit(f"tallyd dev runs without the chains {', '.join(sorted(missing))}")

    with tempfile.TemporaryDirectory() as folder:
        story(dev, folder, lambda chain, to, amount, blocks: run(tallyd, "dev", "pay", chain, to, amount, "--mine", str(blocks), "--data", data))


def story(dev, folder, pay):
    # The signer keeps its seed to itself and shows public keys.
    signer, seed = os.path.join(folder, "signer"), os.path.join(folder, "seed.hex")
    run("go", "build", "-o", signer, "./examples/signer")
    run(signer, "new", seed)

    print("1. a signed key")
    tenant = "custody-" + uuid.uuid4().hex[:12]
    master = {"X-API-Key": dev["master_key"]}
    send("POST", dev["url"] + "/v1/tenants", master, json.dumps({"id": tenant, "name": "An exchange"}).encode())
    key = send("POST", dev["url"] + "/api-keys", {**master, "X-Tenant": tenant}, json.dumps({
        "name": "backend", "owner": "backend", "kind": "signed", "tenant": tenant, "environment": "test",
        "scopes": ["vaults:*", "wallets:*", "assets:read", "custody:*", "transactions:*", "deposits:read", "address-book:*", "webhooks:*"],
    }).encode())
    api = Client(dev["url"], key["key"], key["secret"])
    treasury = run(signer, "treasury", "--seed", seed)
    api.call("PUT", "/v1/custody/keys/btc", {"key": run(signer, "key", "btc", "--seed", seed)})
    api.call("PUT", "/v1/custody/keys/eth", {"key": run(signer, "key", "eth", "--seed", seed), "treasuryAddress": treasury})

    print("2. a vault for a customer")
    vault = api.call("POST", "/vaults", {"externalId": "cust_12345", "name": "Alice Johnson"})

    print("3. the assets that are enabled")
    assets = {a["network"]: a for a in api.call("GET", "/assets")["assets"] if a["native"]}

    print("4. wallets")
    wallets = {c: api.call("POST", f"/vaults/{vault['id']}/wallets", {"assetId": assets[c]["id"], "label": c}) for c in ("btc", "eth")}

    print("5. addresses for the customer:", ", ".join(w["depositAddress"] for w in wallets.values()))

    print("6. a webhook")
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    hook = api.call("PUT", "/webhooks/outbound", {"url": f"http://127.0.0.1:{receiver.server_address[1]}/hook"})
    receiver.secret = base64.b64decode(hook["signingSecret"][len("whsec_"):])

    for chain, wallet in wallets.items():
        pay(chain, wallet["depositAddress"], DEPOSIT[chain], 3)
    pay("eth", treasury, "2", 3)  # withdrawals of ether are paid from one address
    for chain, wallet in wallets.items():
        until(f"the deposit on {chain} is credited",
              lambda w=wallet, c=chain: Decimal(api.call("GET", f"/wallets/{w['id']}/balance")["available"]) == Decimal(DEPOSIT[c]))
        print(f"   {DEPOSIT[chain]} {wallet['assetSymbol']} credited")

    print("7. withdrawals")
    sent = {}
    for chain, wallet in wallets.items():
        api.call("POST", "/address-book", {"network": chain, "address": OUTSIDE[chain], "label": "a friend"})
        order = {"sourceWalletId": wallet["id"], "destinationAddress": OUTSIDE[chain], "amount": WITHDRAW[chain]}
        once = uuid.uuid4().hex
        sent[chain] = api.call("POST", "/transactions/withdraw", order, once)
        again = api.call("POST", "/transactions/withdraw", order, once)
        if again["id"] != sent[chain]["id"]:
            sys.exit("one Idempotency-Key made two withdrawals")
    for chain, tx in sent.items():
        status = lambda t=tx: api.call("GET", f"/transactions/{t['id']}")["status"]
        until(f"the withdrawal on {chain} is built", lambda: status() == "PendingSignature")
        draft = api.call("GET", f"/transactions/{tx['id']}/signing")
        signed = json.loads(run(signer, "sign", "--seed", seed, stdin=json.dumps(draft)))
        api.call("POST", f"/transactions/{tx['id']}/signing", signed)
        until(f"the withdrawal on {chain} is broadcast", lambda: status() in ("Confirming", "Completed"))

        def completed():
            if status() == "Completed":
                return True
            pay(chain, OUTSIDE[chain], "0.001", 1)  # the next block
            return False

        until(f"the withdrawal on {chain} is completed", completed)
        print(f"   {WITHDRAW[chain]} {wallets[chain]['assetSymbol']} to {OUTSIDE[chain]}")

    # Both ends agree.
    for chain, tx in sent.items():
        until(f"the webhook of {chain} tells so", lambda t=tx: receiver.seen("transaction.status.updated", t["id"], status="Completed"))
    with receiver.lock:
        log = list(receiver.log)
    print("the receiver's log:")
    for _, kind, resource, _, valid in log:
        print(f"   {kind} {resource} {'valid' if valid else 'INVALID'}")
    if not all(valid for *_, valid in log):
        sys.exit("a signature does not hold")
    if len({entry[0] for entry in log}) != len(log):
        sys.exit("an event came twice")
    print(f"{len(log)} events, each once and with a valid signature")


if __name__ == "__main__":
    main()
