"""A small HTTP client for the tests: one kept connection a thread, no retries, any method."""
import http.client
import json
import select
import threading


class Answer:
    """What came back: status, headers, body (decoded JSON, None when empty, else text)."""

    def __init__(self, request, status, headers, raw):
        self.request, self.status, self.headers, self.raw = request, status, headers, raw
        try:
            self.body = json.loads(raw) if raw.strip() else None
        except ValueError:
            self.body = raw.decode(errors="replace")

    def __repr__(self):
        return f"{self.request}: {self.status} {self.raw[:400]!r}"

    def expect(self, *statuses):
        """Fail with the whole answer unless the status is one of these; returns the answer."""
        assert self.status in statuses, f"wanted {statuses}, got {self}"
        return self

    @property
    def data(self):
        return self.body["data"]

    @property
    def errors(self):
        """All error texts as one string."""
        return " ".join(self.body["errors"])


class Client:
    """Requests to one server.  Paths are below /v1/ unless they begin with a slash.  Any number of threads may use it."""

    def __init__(self, host, port, token=None, timeout_s=60, context=None):
        """context: of ssl; None: without TLS."""
        self.host, self.port, self.token, self.timeout_s, self.context = host, port, token, timeout_s, context
        self._local = threading.local()

    def _connection(self):
        connection = getattr(self._local, "connection", None)
        if connection and connection.sock and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # the server ended it while it was idle
        if connection is None:
            if self.context:
                connection = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout_s, context=self.context)
            else:
                connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)
            self._local.connection = connection
        return connection

    def drop(self):
        """The next request of this thread goes over a new connection."""
        self._connection().close()

    def request(self, method, path, body=None, token="", headers=None, raw=None):
        """token: "" means the client's own, None means none.  raw: the body's bytes as they are."""
        url = path if path.startswith("/") else "/v1/" + path
        sent = dict(headers or {})
        token = self.token if token == "" else token
        if token:
            sent["X-Vault-Token"] = token
        if body is not None:
            raw = json.dumps(body).encode()
        connection = self._connection()
        try:
            connection.request(method, url, body=raw, headers=sent)
            response = connection.getresponse()
            return Answer(f"{method} {url}", response.status, response.headers, response.read())
        except BaseException:
            connection.close()
            raise

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body, **more)

    def put(self, path, body=None, **more):
        return self.request("PUT", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def list(self, path, **more):
        return self.request("LIST", path, **more)


class Api(Client):
    """What several tests ask for, by name.  All of them fail the test when the server refuses."""

    def term(self):
        return self.get("sys/key-status").expect(200).data["term"]

    def rotate(self):
        self.post("sys/rotate").expect(204)

    def terms(self):
        """{number: {"state", "encryptions", "records", ...}} of all terms, page by page."""
        found, after = {}, 0
        while True:
            page = self.get(f"sys/rotate/terms?after={after}&limit=1000").expect(200).data["terms"]
            if not page:
                return found
            found.update((int(number), term) for number, term in page.items())
            assert max(found) > after, "a page brought nothing new"
            after = max(found)

    def new_token(self, *policies, **more):
        """A token with these policies beside "default"."""
        body = {"policies": list(policies), **more}
        return self.post("auth/token/create", body).expect(200).body["auth"]["client_token"]

    def policy(self, name, text):
        self.put(f"sys/policies/acl/{name}", {"policy": text}).expect(204)

    def token_for(self, name, text, **more):
        """A token whose rights are this policy text."""
        self.policy(name, text)
        return self.new_token(name, **more)
