//! A demo provider with the APIs of OpenAI (chat completions), Anthropic (messages), and Gemini (generateContent),
//! unary and streamed. Its usage objects look like the real ones and count one token per word.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

const WORDS: [&str; 6] = ["Hello", " from", " the", " demo", " provider", "."];
/// The delay before each chunk of a stream.
const PACE: Duration = Duration::from_millis(20);

pub(crate) fn router() -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/messages", post(messages))
        .route("/v1/models/{call}", post(generate))
        .route("/v1beta/models/{call}", post(generate))
        .fallback(async || error(StatusCode::NOT_FOUND, "unknown route of the demo provider"))
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": {"type": "invalid_request_error", "message": message}}))).into_response()
}

fn input_tokens(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(items) => items.iter().map(input_tokens).sum(),
        Value::Object(members) => members.values().map(input_tokens).sum(),
        _ => 0,
    }
}

fn events(events: Vec<String>) -> Response {
    let paced = stream::iter(events).then(|event| async {
        tokio::time::sleep(PACE).await;
        Ok::<_, Infallible>(Bytes::from(event))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(paced)).into_response()
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

async fn chat(body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "the body is not valid JSON");
    };
    let model = request["model"].as_str().unwrap_or("gpt-4o");
    let prompt = input_tokens(&request["messages"]);
    let usage = json!({
        "prompt_tokens": prompt, "completion_tokens": WORDS.len(), "total_tokens": prompt + WORDS.len() as u64,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}
    });
    if request["stream"] != true {
        return Json(json!({
            "id": "chatcmpl-demo", "object": "chat.completion", "created": 1_767_225_600, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": WORDS.concat()}, "finish_reason": "stop"}],
            "usage": usage
        }))
        .into_response();
    }
    let wants_usage = request["stream_options"]["include_usage"] == true;
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": model,
            "choices": choices
        });
        if wants_usage {
            chunk["usage"] = usage;
        }
        data(&chunk)
    };
    let delta = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut chunks = vec![chunk(delta(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    chunks.extend(WORDS.map(|word| chunk(delta(json!({"content": word}), Value::Null), Value::Null)));
    chunks.push(chunk(delta(json!({}), json!("stop")), Value::Null));
    if wants_usage {
        chunks.push(chunk(json!([]), usage));
    }
    chunks.push("data: [DONE]\n\n".to_owned());
    events(chunks)
}

async fn messages(body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "the body is not valid JSON");
    };
    let usage = |output: usize| {
        json!({
            "input_tokens": input_tokens(&request["messages"]), "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": output, "service_tier": "standard"
        })
    };
    let message = |content: Value, stop: Value, output: usize| {
        json!({
            "id": "msg_demo", "type": "message", "role": "assistant", "model": request["model"], "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": usage(output)
        })
    };
    if request["stream"] != true {
        let content = json!([{"type": "text", "text": WORDS.concat()}]);
        return Json(message(content, json!("end_turn"), WORDS.len())).into_response();
    }
    let event = |name: &str, value: Value| format!("event: {name}\n{}", data(&value));
    let start = json!({"type": "message_start", "message": message(json!([]), Value::Null, 1)});
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let mut chunks = vec![event("message_start", start), event("content_block_start", block)];
    chunks.extend(WORDS.map(|word| {
        let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}});
        event("content_block_delta", delta)
    }));
    chunks.push(event("content_block_stop", json!({"type": "content_block_stop", "index": 0})));
    let end = json!({
        "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        "usage": {"output_tokens": WORDS.len()}
    });
    chunks.push(event("message_delta", end));
    chunks.push(event("message_stop", json!({"type": "message_stop"})));
    events(chunks)
}

async fn generate(Path(call): Path<String>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return error(StatusCode::BAD_REQUEST, "the body is not valid JSON");
    };
    let Some((model, method)) = call.split_once(':') else {
        return error(StatusCode::NOT_FOUND, "the path does not name a method");
    };
    let prompt = input_tokens(&request["contents"]);
    let response = |text: &str, finish: Value, output: Option<usize>| {
        let mut usage = json!({
            "promptTokenCount": prompt, "totalTokenCount": prompt + output.unwrap_or(0) as u64,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}]
        });
        if let Some(output) = output {
            usage["candidatesTokenCount"] = json!(output);
        }
        let content = json!({"parts": [{"text": text}], "role": "model"});
        let mut candidate = json!({"content": content, "index": 0});
        if !finish.is_null() {
            candidate["finishReason"] = finish;
        }
        json!({"candidates": [candidate], "modelVersion": model, "responseId": "demo", "usageMetadata": usage})
    };
    match method {
        "generateContent" => Json(response(&WORDS.concat(), json!("STOP"), Some(WORDS.len()))).into_response(),
        "streamGenerateContent" => events(
            WORDS
                .iter()
                .enumerate()
                .map(|(at, word)| {
                    let is_last = at + 1 == WORDS.len();
                    let finish = if is_last { json!("STOP") } else { Value::Null };
                    data(&response(word, finish, is_last.then_some(WORDS.len())))
                })
                .collect(),
        ),
        _ => error(StatusCode::NOT_FOUND, "unknown method"),
    }
}
