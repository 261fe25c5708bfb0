"""Calls the gateway with the real OpenAI and Portkey SDKs. `tests/gateway_sdks.rs` runs it and checks the events.

The environment has the URL of the gateway (GATEWAY) and two API keys (WEB_KEY, ADA_KEY). The result of each call is one
line of JSON on standard output: its name, and the text that the SDK returned or the error that it raised.
"""

import json
import os

import openai
from portkey_ai import Portkey

BASE = os.environ["GATEWAY"] + "/v1"
WEB_KEY = os.environ["WEB_KEY"]
ADA_KEY = os.environ["ADA_KEY"]
MESSAGES = [{"role": "user", "content": "Say hello"}]


def text_of(response):
    """Returns the whole text of a response or a stream."""
    if hasattr(response, "choices"):
        return response.choices[0].message.content
    parts = (chunk.choices[0].delta.content for chunk in response if chunk.choices)
    return "".join(part for part in parts if part)


def call(name, client, **arguments):
    """Makes a call and prints its result."""
    result = {"name": name}
    try:
        response = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, **arguments)
        result["text"] = text_of(response)
    except Exception as error:  # The SDKs raise different classes for the same status.
        result["error"] = type(error).__name__
        result["status"] = getattr(error, "status_code", None)
        result["body"] = str(getattr(error, "body", None))
    print(json.dumps(result), flush=True)


def openai_client(key):
    return openai.OpenAI(api_key=key, base_url=BASE, max_retries=0)


def feature(name):
    """Returns the headers of an OpenAI client that sends the name of the call as a tag."""
    return {"x-portkey-metadata": json.dumps({"feature": name})}


def portkey(name, key=WEB_KEY, **metadata):
    """Returns a Portkey client that sends the name of the call as a tag and as the trace id."""
    metadata = {"feature": name, **metadata}
    return Portkey(api_key=key, base_url=BASE, provider="openai", metadata=metadata, trace_id=f"trace-{name}", max_retries=0)


STREAM = {"stream": True, "stream_options": {"include_usage": True}}
web = openai_client(WEB_KEY)
ada = openai_client(ADA_KEY)

# The contract requires `_user`, which only the body has.
call("openai", web, user="grace", extra_headers=feature("openai"))
call("openai-stream", web, user="grace", extra_headers=feature("openai-stream"), **STREAM)
call("openai-no-user", web, extra_headers=feature("openai-no-user"))
# The user of this key is forced.
call("openai-forced", ada, user="eve", extra_headers=feature("openai-forced"))
call("openai-unknown-key", openai_client("unknown-" + WEB_KEY[:8]), user="grace")

spoofed = {"team": "spoofed", "company": "spoofed", "debug": "1"}
call("portkey", portkey("portkey", _user="grace", environment="production", **spoofed))
call("portkey-stream", portkey("portkey-stream", _user="grace", **spoofed), **STREAM)
call("portkey-body-user", portkey("portkey-body-user", environment="test"), user="grace")
call("portkey-forced", portkey("portkey-forced", key=ADA_KEY, _user="eve"))
call("portkey-no-user", portkey("portkey-no-user"))
