"""A guard for an MCP server in Python 3.9 or later, on nothing but the standard library. It asks the authorization server about
the token of each request (RFC 7662), so that a revoked token is refused at its next use. Put your MCP server in place of Hello."""
import base64, contextlib, http.client, http.server, json, logging, os, re, socket, sys, time, urllib.error, urllib.parse, urllib.request

RESOURCE = os.environ.get("MCP_RESOURCE", "http://127.0.0.1:9000/authed/mcp")  # the URL that clients use
ISSUER = os.environ.get("MCP_ISSUER", "http://127.0.0.1:8080")  # the authorization server: https, but on this machine
CLIENT_ID = os.environ.get("MCP_CLIENT_ID")  # of a client with "introspects": [the resource]
SECRET_FILE = os.environ.get("MCP_CLIENT_SECRET_FILE")
BOUND = os.environ.get("MCP_CACHE")  # keep answers, and refuse a revoked token within so many seconds: takes cache.py
OAUTH = ISSUER + "/authed/mcp/oauth"
SCOPES = ["mcp:search"]  # a token needs all of them
LIMIT, SECONDS = 4 << 20, 5  # of a request, in bytes; and for it to arrive
ORIGIN, PATH = re.fullmatch("([^:]+://[^/]+)(/.*)?", RESOURCE).groups("")
METADATA_PATH = "/.well-known/oauth-protected-resource" + ("" if PATH == "/" else PATH)
METADATA = {"resource": RESOURCE, "authorization_servers": [ISSUER], "scopes_supported": SCOPES, "bearer_methods_supported": ["header"]}


class Unknown(Exception):
    """Nobody can tell now whether a token is good."""


def check(authorization):
    """Takes the values of all Authorization headers and returns (token, status, headers); token is the server's answer about it."""
    if len(authorization) > 1:
        return refuse(400, "invalid_request")
    credentials = re.fullmatch(r"Bearer +([\w.~+/-]{1,8192}=*)", "".join(authorization).strip(), re.IGNORECASE | re.ASCII)
    if not credentials:
        return refuse(401)
    try:
        token = answer_about(credentials[1])
    except (Unknown, OSError, http.client.HTTPException) as error:  # never 401: a client would throw a good token away
        logging.error("A token cannot be checked: %s", error)
        return None, 503, {"Retry-After": "5"}
    audience = token.get("aud")
    late = "exp" in token and token["exp"] + 60 <= time.time()  # clocks may be a minute apart
    if not token["active"] or late or token.get("cnf") is not None or RESOURCE not in (audience if isinstance(audience, list) else [audience]):
        return refuse(401, "invalid_token")
    return (token, 200, {}) if set(SCOPES) <= set(token.get("scope", "").split()) else refuse(403, "insufficient_scope")


def refuse(status, error=None):
    challenge = f'Bearer resource_metadata="{ORIGIN}{METADATA_PATH}", scope="{" ".join(SCOPES)}"'
    return None, status, {"WWW-Authenticate": challenge + (f', error="{error}"' if error else "")}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another place."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def ask(token):
    """Returns the server's answer about a token, or raises: whatever is no clear answer says nothing about the token."""
    answer = call("/introspect", 5, urllib.parse.urlencode({"token": token}).encode())
    if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool) or not (
            isinstance(answer.get("exp", 0), (int, float)) and isinstance(answer.get("scope", ""), str)):
        raise Unknown("the answer is not an introspection response (RFC 7662): correct MCP_ISSUER")
    return answer


def feed(after, wait):
    """Returns the page of revocations that comes after a cursor, or raises. The server waits so many seconds for news."""
    return call("/revocations?" + urllib.parse.urlencode({"after": after, "wait": wait, "resource": RESOURCE}), wait + 5)


def call(path, timeout, form=None):
    with open(SECRET_FILE, encoding="utf-8") as file:  # each time, so that it is replaced without a restart
        secret = file.read().strip()
    basic = urllib.parse.quote_plus(CLIENT_ID) + ":" + urllib.parse.quote_plus(secret)  # RFC 6749 §2.3.1
    request = urllib.request.Request(OAUTH + path, form, {
        "Authorization": "Basic " + base64.b64encode(basic.encode()).decode(), "Accept": "application/json"})
    try:
        with OPENER.open(request, timeout=timeout) as response:
            status, body = response.status, response.read(1 << 20)
    except urllib.error.HTTPError as error:
        status, body = error.code, b""
        error.close()
    if status in (401, 403):
        raise Unknown("the authorization server refuses this service itself: correct MCP_CLIENT_ID or the secret in MCP_CLIENT_SECRET_FILE")
    if status != 200:
        raise Unknown(f"the authorization server answers with status {status}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


answer_about = ask
if BOUND:
    from cache import Keeping
    answer_about = Keeping(ask, feed, float(BOUND))


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = SECONDS  # for each time that the client is waited for

    def handle_request(self):
        if self.path.split("?")[0] == METADATA_PATH:  # RFC 9728
            return self.answer(200, {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"}, json.dumps(METADATA))
        token, status, headers = check(self.headers.get_all("Authorization", []))
        if token:
            body, status = self.read_body()
        if status != 200:
            self.answer(status, headers)
            with contextlib.suppress(OSError):  # the client has gone
                self.connection.shutdown(socket.SHUT_WR)
                self.read_body()  # or a client that still sends sees no answer
            return
        # Where a token has sub_id, that is who it is: the same sub of another issuer is somebody else.
        self.answer(200, {}, f"Hello {token['sub']}\n")

    def read_body(self):
        """Returns (body, status). All of it has to arrive in time: the token may be revoked meanwhile."""
        length, body, end = self.headers.get("Content-Length", "0"), b"", time.monotonic() + SECONDS
        if not re.fullmatch("[0-9]{1,18}", length):
            return None, 400
        try:
            while len(body) < min(int(length), LIMIT):
                self.connection.settimeout(max(end - time.monotonic(), 0.001))
                part = self.rfile.read1(min(int(length), LIMIT) - len(body))
                if not part:
                    return None, 400
                body += part
        except OSError:
            return None, 408
        self.connection.settimeout(SECONDS)
        return (body, 200) if int(length) <= LIMIT else (None, 413)

    do_GET = do_POST = do_DELETE = handle_request

    def answer(self, status, headers, body=""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


if __name__ == "__main__":
    if not CLIENT_ID or not SECRET_FILE:
        sys.exit("Set MCP_CLIENT_ID and MCP_CLIENT_SECRET_FILE: a client that introspects " + RESOURCE)
    host, port = os.environ.get("MCP_LISTEN", "127.0.0.1:9000").split(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    print(f"{RESOURCE} on {host}:{port}, for tokens of {ISSUER}", file=sys.stderr, flush=True)
    server.serve_forever()
