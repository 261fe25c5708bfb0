//! Runs the example `mcp_stdio` end to end, over its standard input and output.

#[path = "common/api.rs"]
mod api;
#[path = "common/program.rs"]
mod program;

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    sync::LazyLock,
};

use serde_json::{Value, json};
use tower_tagging::{sink::BatchWriter, store::SqliteStore};

use api::{FROM, TO, samples};

/// The program, built once for all tests.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| program::example("mcp_stdio"));

fn command() -> Command {
    let mut command = Command::new(&*PROGRAM);
    for name in ["PORTKEY_BASE_URL", "PORTKEY_API_KEY", "STORE", "CONFIG", "PUBLIC_URL"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tower-tagging-mcp-stdio-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running program after the handshake.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut running = Self { child, input, output };
        let client = json!({ "name": "test", "version": "1" });
        running.request(
            "initialize",
            &json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client }),
        );
        running.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        running
    }

    fn write(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.write(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        let mut line = String::new();
        if self.output.read_line(&mut line).unwrap() == 0 {
            let mut errors = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("the program has ended: {errors}");
        }
        serde_json::from_str::<Value>(&line).unwrap()["result"].take()
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.request("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }

    /// Closes the input, at which the program ends.
    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the output of the program that does not start.
fn fails(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let message = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && stdout.is_empty(), "{message}");
    message
}

/// Writes a store without WAL mode, as a copy or a backup may be.
fn store(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    store.migrate().unwrap();
    store.writer().write(&samples()).unwrap();
    drop(store);
    let db = rusqlite::Connection::open(path).unwrap();
    let mode: String = db.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn reads_a_file_and_changes_nothing_in_it() {
    let folder = Folder::new("file");
    let path = folder.0.join("events.db");
    store(&path);
    let before = std::fs::read(&path).unwrap();
    let mut running = Running::start(command().arg(&path));
    let range = json!({ "time_of_generation_min": FROM, "time_of_generation_max": TO });
    let result = running.call("get_request_analytics", &range);
    assert_eq!(result["structuredContent"]["summary"]["total"], 13, "{result}");
    assert_eq!(result["structuredContent"]["dashboard_url"], Value::Null);
    let result = running.call("list_virtual_keys", &json!({}));
    assert_eq!(result["isError"], false, "{result}");
    running.end();
    assert!(std::fs::read(&path).unwrap() == before, "the file has changed");
    let files: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["events.db"]);
}

#[test]
fn rejects_files_that_are_missing_or_not_a_store() {
    let folder = Folder::new("missing");
    let missing = folder.0.join("missing.db");
    let message = fails(command().arg(&missing));
    assert!(message.contains(&format!("there is no file {}", missing.display())), "{message}");
    assert!(!missing.exists());

    let other = folder.0.join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let text = folder.0.join("text.db");
    std::fs::write(&text, "This is no database, but a text that is longer than the header of one is. ".repeat(20))
        .unwrap();
    for path in [other, text] {
        let before = std::fs::read(&path).unwrap();
        let message = fails(command().arg(&path));
        assert!(message.contains(&format!("cannot read {} as a store", path.display())), "{message}");
        assert!(std::fs::read(&path).unwrap() == before, "the file has changed");
    }
}

/// Returns the head of a request that a client sent.
fn read_head(connection: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn sends_the_key_to_an_api_and_reports_answers_that_break_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let body = json!({ "object": "list", "total": 0, "data": [] }).to_string();
        let mut heads = Vec::new();
        // The second answer ends before its length is reached.
        for length in [body.len(), body.len() + 1] {
            let mut connection = listener.accept().unwrap().0;
            heads.push(read_head(&mut connection));
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        heads
    });
    let mut running = Running::start(command().env("PORTKEY_BASE_URL", url).env("PORTKEY_API_KEY", "the-key"));
    let result = running.call("list_workspaces", &json!({}));
    assert_eq!((&result["isError"], &result["structuredContent"]["total"]), (&json!(false), &json!(0)), "{result}");
    let result = running.call("list_workspaces", &json!({}));
    let message = result["content"][0]["text"].as_str().unwrap();
    assert!(message.starts_with("The analytics API cannot be used:"), "{message}");
    running.end();
    for head in server.join().unwrap() {
        assert!(head.starts_with("GET /v1/admin/workspaces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("x-portkey-api-key: the-key\r\n"), "{head}");
    }
}
