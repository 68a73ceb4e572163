"""The part of the module requests that the quickstart uses, over the standard library."""

import json as _json
import urllib.error
import urllib.request


class Response:
    def __init__(self, status_code, body):
        self.status_code = status_code
        self.text = body.decode()

    def json(self):
        return _json.loads(self.text)


def _send(method, url, headers=None, json=None):
    data = None
    headers = dict(headers or {})
    if json is not None:
        data = _json.dumps(json).encode()
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Response(answer.status, answer.read())
    except urllib.error.HTTPError as answer:
        return Response(answer.code, answer.read())


def get(url, headers=None):
    return _send("GET", url, headers)


def post(url, json=None, headers=None):
    return _send("POST", url, headers, json)
