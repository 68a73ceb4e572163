#!/usr/bin/env python3
"""A user, an address, its balance and its transactions, in six calls.

    examples/quickstart.py                      # against `make run`
    examples/quickstart.py --url URL --key KEY  # against any tallyd

Needs Python 3.8 and nothing else.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from decimal import Decimal

# The address of the dev chain's generator of traffic.
WALLET = "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh"


def call(method, url, headers, body=None):
    """Returns the decoded answer; numbers stay exact. Ends the program on a problem."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer, parse_float=Decimal)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            text = json.loads(text)["message"]
        except (ValueError, KeyError):
            pass
        sys.exit(f"{method} {url}: {error.code} {text}")
    except urllib.error.URLError as error:
        sys.exit(f"{method} {url}: {error.reason}. Is tallyd running?")


def settings():
    """Returns the arguments, with URL and key from the dev file where they are not given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", default=".tallyd/dev.json", help="file that tallyd dev writes (default %(default)s)")
    parser.add_argument("--url", help="base URL of tallyd")
    parser.add_argument("--key", help="API key with the scope users:write")
    parser.add_argument("--chain", default="btc", help="chain to connect on (default %(default)s)")
    parser.add_argument("--wallet", default=WALLET, help="address to connect (default %(default)s)")
    parser.add_argument("--patience", type=int, default=120, help="seconds to wait for the first balance (default %(default)s)")
    args = parser.parse_args()
    if not (args.url and args.key):
        if not os.path.exists(args.dev):
            sys.exit(f"{args.dev} is not there: start `make run`, or give --url and --key")
        with open(args.dev, encoding="utf-8") as file:
            dev = json.load(file)
        args.url = args.url or dev["url"]
        args.key = args.key or dev["api_key"]
    args.url = args.url.rstrip("/")
    return args


def first_balance(url, headers, patience):
    """Asks until the account has a balance. Each call itself waits up to two seconds."""
    deadline = time.monotonic() + patience
    while True:
        balance = call("GET", url, headers)
        state = balance["state"]
        if state["last_sync"] is not None:
            return balance
        if time.monotonic() > deadline:
            sys.exit(f"no balance after {patience} s: the account is {state['status']}, {state['error'] or 'no reason given'}")
        print(f"waiting: {state['status']}, ledger at {state['height']}, node at {state['head']}", file=sys.stderr)
        time.sleep(1)


def main():
    args = settings()
    project = {"X-API-Key": args.key}

    user = call("POST", f"{args.url}/v1/users", project, {"name": "quickstart"})["uuid"]
    token = call("GET", f"{args.url}/v1/users/{user}/auth", project)["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    print(f"user    {user}")

    body = {"wallet": args.wallet, "description": "connected by quickstart.py"}
    account = call("POST", f"{args.url}/v1/onchain/{args.chain}/connect", bearer, body)["id"]
    print(f"account {account}")

    base = f"{args.url}/v1/onchain/{args.chain}/account/{account}"
    balance = first_balance(f"{base}/balance", bearer, args.patience)
    print("\nBalance" + (f" as of block {balance['as_of']['height']}" if balance["as_of"] else ""))
    for one in balance["balance"]:
        print(f"  {one['decimal'] or one['base_units'] + ' base units of'} {one['currency_symbol'] or one['currency']} ({one['proof']})")
    for one in balance["pending"]:
        print(f"  {one['decimal']} {one['currency_symbol']} pending")
    history = balance["state"]["history"]
    if history["status"] != "complete":
        print(f"  history is {history['status']}, from height {history['from_height']}")

    page = call("GET", f"{base}/transactions?limit=10", bearer)
    print("\nTransactions, newest first")
    for one in page["transactions"]:
        moved = ", ".join(f"{a['decimal'] or a['base_units']} {a['currency_symbol'] or a['currency']}" for a in one["total"])
        print(f"  {one['created_at']}  {one['status']:9}  {one['side']:4}  {moved}  {one['transaction_id']}")
    if not page["transactions"]:
        print("  none")
    if page.get("page_cursor"):
        print("  … and more: ask again with cursor=page_cursor")


if __name__ == "__main__":
    main()
