/// Returns the message about JSON that is not what an endpoint expects, in the words of JSON.
pub(crate) fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = [
        ("unknown variant ", "unknown value "),
        ("unknown field ", "unknown member "),
        ("missing field ", "missing member "),
        ("duplicate field ", "repeated member "),
    ];
    let text =
        words.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", text.strip_prefix(theirs)?))).unwrap_or(text);
    // What was found may be any text, but what was expected is last.
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text };
    let (kind, place) = match expected.split_once(" at line ") {
        Some((kind, place)) => (kind, format!(" at line {place}")),
        None => (expected, String::new()),
    };
    format!("{}, expected {}{place}", in_json(found), kind_in_json(kind))
}

fn in_json(found: &str) -> String {
    let words = [("map", "an object"), ("sequence", "a list"), ("floating point", "number"), ("unit value", "null")];
    let prefix = "invalid type: ";
    let Some(rest) = found.strip_prefix(prefix) else { return found.to_owned() };
    for (word, name) in words {
        if let Some(value) = rest.strip_prefix(word) {
            return format!("{prefix}{name}{value}");
        }
    }
    found.to_owned()
}

fn kind_in_json(kind: &str) -> &str {
    match kind {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string or map" => "a text",
        "a sequence" => "a list",
        "a map" | "map" => "an object",
        other => other,
    }
}
