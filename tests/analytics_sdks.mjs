// Calls the analytics API with Portkey's SDK for Node. `tests/analytics_sdks.rs` runs it and checks the answers.
//
// The environment has the base URL (ANALYTICS), which ends with `/tagging/v1`, an API key (ANALYTICS_KEY), and the folder in
// which the SDK is installed (SDKS_NODE). The result of each call is one line of JSON on standard output.

import { createRequire } from "node:module";

const require = createRequire(process.env.SDKS_NODE + "/");
const { Portkey } = require("portkey-ai");

const client = new Portkey({ apiKey: process.env.ANALYTICS_KEY, baseURL: process.env.ANALYTICS, maxRetries: 0 });
const range = { time_of_generation_min: "2026-06-01T00:00:00+00:00", time_of_generation_max: "2026-06-04T00:00:00Z" };

async function call(name, run) {
    const result = { name };
    try {
        result.answer = await run();
    } catch (error) {
        result.error = String(error);
        result.status = error.status ?? null;
    }
    console.log(JSON.stringify(result));
    return result.answer;
}

const { graphs, groups, summary } = client.analytics;
for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(graphs)).filter((name) => name !== "constructor")) {
    await call(`graphs.${name}`, () => graphs[name](range));
}
await call("groups.users", () => groups.users({ ...range, page_size: 1, current_page: 0 }));
await call("groups.aiModels", () => groups.aiModels(range));
await call("groups.workspaces", () => groups.workspaces(range));
await call("groups.metadata", () => groups.metadata("_user", range));
for (const name of ["ai_service", "model", "status_code", "api_key", "config", "workspace", "provider", "prompt"]) {
    await call(`groups.${name}`, () => groups.groupedData(name, { ...range, columns: "cost,avg_latency", include_total: true }));
}
await call("summary.cache", () => summary.cache(range));

const feedback = await call("feedback.create", () => client.feedback.create({ traceID: "trace-1", value: 5, weight: 1 }));
await call("feedback.update", () => client.feedback.update({ feedbackID: feedback.feedback_ids[0], value: -5, weight: 0.5 }));
await call("feedback.invalid", () => client.feedback.create({ traceID: "trace-1", value: 50 }));

await call("logs.create", () =>
    client.logs.create({
        request: { url: "https://api.openai.com/v1/chat/completions", method: "POST", body: { model: "gpt-4o" } },
        response: { status: 200, body: { model: "gpt-4o", usage: { prompt_tokens: 2006, completion_tokens: 300 } }, response_time: 123 },
        metadata: { _user: "sdk" },
    }),
);
const { exports } = client.logs;
const created = await call("exports.create", () => exports.create({ filters: range, requestedData: ["id", "cost"] }));
const exportId = created.id;
await call("exports.update", () => exports.update({ exportId, filters: range, requestedData: ["id"] }));
await call("exports.start", () => exports.start({ exportId }));
for (let attempt = 0; attempt < 100 && (await exports.retrieve({ exportId })).status === "in_progress"; attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
}
await call("exports.retrieve", () => exports.retrieve({ exportId }));
await call("exports.list", () => exports.list({}));

await call("workspaces.list", () => client.admin.workspaces.list({}));
await call("virtual_keys.list", () => client.virtualKeys.list({}));
