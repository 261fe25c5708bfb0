//! Wire formats: the ways in which LLM APIs report what a call used.
//!
//! Each `Format` is one file that lists the request paths of an API, the members of its responses that are needed, and a
//! function that normalizes its counts. `FORMATS` in `formats.rs` lists them all. To add
//! one, see `src/docs/add_a_provider.md`.
//!
//! The members of all formats are merged into one set of `Tables`, so that a response is searched once, whatever its
//! format. Once it is complete, the first format whose `matches` accepts the counts normalizes them. The names of the counts
//! decide, not the provider: proxies and compatible servers answer for models of one vendor in the format of another.

mod anthropic;
mod bedrock_converse;
mod bedrock_invoke;
mod cohere;
#[cfg(test)]
mod example;
mod format;
mod formats;
mod gemini;
mod gemini_interactions;
mod groq;
mod hosted_models;
mod mistral;
mod mistral_ocr;
mod ollama;
mod openai_audio;
mod openai_chat;
mod openai_embeddings;
mod openai_images;
mod openai_responses;
mod pattern;
mod perplexity;
mod report_scanner;
mod route;
mod tables;
mod usage_reader;
mod vertex;
mod voyage;
mod x_ai;

pub(super) use self::{
    formats::{find_route, merged_tables, normalize, scanner},
    report_scanner::ReportScanner,
    route::{Certainty, Route},
};
