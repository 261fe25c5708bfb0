"""Calls the analytics API with Portkey's SDK for Python. `tests/analytics_sdks.rs` runs it and checks the answers.

The environment has the base URL (ANALYTICS), which ends with `/tagging/v1`, and an API key (ANALYTICS_KEY). The result of
each call is one line of JSON on standard output: its name, and the answer or the error.
"""

import json
import os
import time

from portkey_ai import Portkey

client = Portkey(api_key=os.environ["ANALYTICS_KEY"], base_url=os.environ["ANALYTICS"], max_retries=0)
RANGE = {"time_of_generation_min": "2026-06-01T00:00:00+00:00", "time_of_generation_max": "2026-06-04T00:00:00Z"}


def call(name, method, **arguments):
    """Makes a call, prints its result, and returns it."""
    result = {"name": name}
    answer = None
    try:
        answer = method(**arguments)
        if isinstance(answer, dict):
            result["answer"] = answer
        elif hasattr(answer, "model_dump"):
            result["answer"] = answer.model_dump()
        else:  # The SDK returns the answer to `logs.create` as it was received.
            result["answer"] = answer.json()
    except Exception as error:  # The SDK raises different classes for the same status.
        result["error"] = f"{type(error).__name__}: {error}"
        result["status"] = getattr(error, "status_code", None)
    print(json.dumps(result, default=str), flush=True)
    return result.get("answer")


graphs = client.analytics.graphs
for graph in (
    "requests", "cost", "latency", "tokens", "users", "users_requests", "errors", "errors_rate", "errors_stacks",
    "errors_status_codes", "requests_rescued", "cache_hit_rate", "cache_latency", "feedbacks", "feedbacks_scores",
    "feedbacks_weighted", "feedbacks_ai_models",
):
    call(f"graphs.{graph}", getattr(graphs, graph), **RANGE)
call("graphs.filtered", graphs.requests, metadata=json.dumps({"_user": "ada"}), status_code="200", cost_min=1.5, **RANGE)

groups = client.analytics.groups
call("groups.users", groups.users, current_page=0, page_size=1, **RANGE)
call("groups.ai_models", groups.ai_models, **RANGE)
call("groups.workspaces", groups.workspaces, **RANGE)
call("groups.metadata", groups.metadata, metadata_key="_user", **RANGE)
for name in ("ai_service", "model", "status_code", "api_key", "config", "workspace", "provider", "prompt"):
    call(f"groups.{name}", groups.group_by, group_by=name, columns="cost,avg_latency,last_seen", include_total=True, **RANGE)
call("summary.cache", client.analytics.summary.cache, **RANGE)

feedback = call("feedback.create", client.feedback.create, trace_id="trace-1", value=5, weight=1.0, metadata={"by": "sdk"})
call("feedback.bulk_create", client.feedback.bulk_create, feedbacks=[{"trace_id": "trace-1", "value": 1}])
call("feedback.update", client.feedback.update, feedback_id=feedback["feedback_ids"][0], value=-5, weight=0.5, metadata={})
call("feedback.invalid", client.feedback.create, trace_id="trace-1", value=50)

call(
    "logs.create",
    client.logs.create,
    request={"url": "https://api.openai.com/v1/chat/completions", "method": "POST", "headers": {}, "body": {"model": "gpt-4o"}},
    response={
        "status": 200,
        "headers": {},
        "body": {"model": "gpt-4o", "usage": {"prompt_tokens": 2006, "completion_tokens": 300}},
        "response_time": 123,
    },
    metadata={"_user": "sdk"},
)
exports = client.logs.exports
export = call("exports.create", exports.create, filters=RANGE, description="by the SDK", requested_data=["id", "cost", "metadata"])
export_id = export["id"]
call("exports.update", exports.update, export_id=export_id, filters=RANGE, requested_data=["id", "cost"])
call("exports.start", exports.start, export_id=export_id)
for _ in range(100):
    if exports.retrieve(export_id=export_id).status != "in_progress":
        break
    time.sleep(0.05)
call("exports.retrieve", exports.retrieve, export_id=export_id)
call("exports.list", exports.list)
call("exports.download", exports.download, export_id=export_id)
call("exports.cancel", exports.cancel, export_id=export_id)

call("workspaces.list", client.admin.workspaces.list, page_size=10)
call("virtual_keys.list", client.virtual_keys.list)
