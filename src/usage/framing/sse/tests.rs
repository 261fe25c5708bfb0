use std::time::Duration;

use super::ServerSentEvents;
use crate::usage::{content::MAX_CONTENT_BYTES, response_report::ResponseReport};

fn read<'c, I: IntoIterator<Item = &'c [u8]>>(chunks: I) -> ResponseReport {
    let (mut events, mut report) = (ServerSentEvents::new(1024), ResponseReport::default());
    for chunk in chunks {
        events.feed(chunk, &mut report, Duration::from_secs(1));
    }
    events.end(&mut report, Duration::from_secs(2));
    report
}

const STREAM: &str = "\u{feff}: comment\r\nevent: a\rdata: {\"id\":\"1\",\"model\":\"m\"}\r\n\r\n\
    data:{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n\
    data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":3}}\n\ndata: [DONE]\n\n";

#[test]
fn reads_the_same_however_the_stream_is_cut() {
    for size in 1..=STREAM.len() {
        let report = read(STREAM.as_bytes().chunks(size));
        assert_eq!(report.model.as_deref(), Some("m"), "chunks of {size}");
        assert_eq!(report.usage["prompt_tokens"], 3, "chunks of {size}");
        assert!(report.is_final && !report.is_unparsed, "chunks of {size}");
        assert_eq!(report.first_token, Some(Duration::from_secs(1)), "chunks of {size}");
    }
}

#[test]
fn reads_a_last_event_without_a_blank_line() {
    let report = read([&b"data: {\"usage\":{\"prompt_tokens\":3}}"[..]]);
    assert_eq!(report.usage["prompt_tokens"], 3);
}

#[test]
fn a_broken_event_counts_the_same_however_the_stream_is_cut() {
    let start = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    let long = format!("data: {{\"content\":\"{}\n\n", "x".repeat(MAX_CONTENT_BYTES));
    for (broken, is_unparsed) in [
        ("data: {\"usage\":{\"prompt_tokens\":3\n\n", true),
        ("data: {\"usage\":\ndata: {\"prompt_tokens\n\n", true),
        ("{\"usage\":{\"prompt_tokens\":3}}\n\n", true),
        ("data: {\"choices\":[{\"delta\":{\"con\n\n", false),
        ("data: oops\n\n", false),
        ("oops\n\n", false),
        (&long, true),
    ] {
        for end in ["data: [DONE]\n\n", "data: {\"choices\":[]}\n\n", ": end\n\n"] {
            let stream = [start, broken, end].concat();
            let whole = [start.as_bytes(), broken.as_bytes(), end.as_bytes()];
            assert_eq!(read(whole).is_unparsed, is_unparsed, "{broken} and {end} in whole events");
            for size in (1..=stream.len()).step_by(stream.len() / 64) {
                let report = read(stream.as_bytes().chunks(size));
                assert_eq!(report.is_unparsed, is_unparsed, "{broken} and {end} in chunks of {size}");
            }
        }
    }
}

#[test]
fn keep_alives_of_line_ends_change_nothing() {
    for ends in ["\n", "\r", "\r\n", "\n\r", "\n\n\r\r\n"] {
        let ends = ends.repeat(5);
        let stream =
            format!("{ends}data: {{\"usage\":\r\ndata: {{\"prompt_tokens\":3}}}}\r\n\r\n{ends}data: [DONE]\n\n");
        for size in 1..=stream.len() {
            let report = read(stream.as_bytes().chunks(size));
            assert_eq!(report.usage["prompt_tokens"], 3, "{ends:?} in chunks of {size}");
            assert!(report.is_final && report.has_end_marker && !report.is_unparsed, "{ends:?} in chunks of {size}");
        }
    }
}

#[test]
fn reports_data_that_is_not_json() {
    assert!(read([&b"data: <html>\n\n"[..]].into_iter()).is_unparsed);
    assert!(read([&b"<html>\n\n"[..]].into_iter()).is_unparsed);
    assert!(!read([&b": nothing but a comment\n\n"[..]].into_iter()).is_unparsed);
}
