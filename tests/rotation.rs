//! Files of JSON lines that are renamed, removed, truncated, or replaced while a sink writes to them.

#![cfg(unix)]

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Duration,
};

use common::{
    TempFolder,
    delivery::{assert_balance, emit, wait_until},
};
use serde_json::Value;
use tower_tagging::{
    EventLayer, Sink,
    sink::{JsonLinesFile, JsonLinesSink, RetryPolicy, SinkHealth, SinkReport},
};

/// Returns the paths of the events in a file, with `!` for a line that is not an event.
fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let path = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(event) => event["request"]["path"].as_str().unwrap().to_owned(),
        Err(_) => "!".to_owned(),
    };
    text.lines().map(path).collect()
}

fn report(sink: &JsonLinesSink) -> SinkReport {
    sink.delivery().report().sinks[0].clone()
}

/// Emits events and waits until they are delivered.
fn deliver(sink: &JsonLinesSink, numbers: std::ops::Range<usize>) {
    let delivered = report(sink).delivered + numbers.len() as u64;
    emit(&EventLayer::new(sink.clone()), numbers);
    wait_until(|| report(sink).delivered == delivered);
}

/// A change of the files. Gets the path of the sink's file, and a path for the old file.
type Rotate = fn(&Path, &Path);

/// How a file is rotated, the lines of the file, and those of the old file.
const ROTATIONS: &[(&str, Rotate, &[&str], &[&str])] = &[
    ("renamed", |file, old| fs::rename(file, old).unwrap(), &["/2", "/3"], &["/0", "/1"]),
    (
        "renamed and created",
        |file, old| {
            fs::rename(file, old).unwrap();
            fs::write(file, "").unwrap();
        },
        &["/2", "/3"],
        &["/0", "/1"],
    ),
    (
        "created by another program that writes to it",
        |file, old| {
            fs::rename(file, old).unwrap();
            fs::write(file, "hello\n").unwrap();
        },
        &["!", "/2", "/3"],
        &["/0", "/1"],
    ),
    (
        "created with a torn line",
        |file, old| {
            fs::rename(file, old).unwrap();
            fs::write(file, "{\"torn").unwrap();
        },
        &["!", "/2", "/3"],
        &["/0", "/1"],
    ),
    (
        "replaced by another file in one step",
        |file, old| {
            fs::write(old, "hello\n").unwrap();
            fs::rename(old, file).unwrap();
        },
        &["!", "/2", "/3"],
        &[],
    ),
    ("removed", |file, _| fs::remove_file(file).unwrap(), &["/2", "/3"], &[]),
    ("removed with its folder", |file, _| fs::remove_dir_all(file.parent().unwrap()).unwrap(), &["/2", "/3"], &[]),
    (
        "removed with two folders",
        |file, _| fs::remove_dir_all(file.parent().unwrap().parent().unwrap()).unwrap(),
        &["/2", "/3"],
        &[],
    ),
    (
        "renamed with its folder",
        |file, old| {
            fs::rename(file.parent().unwrap(), old.with_extension("folder")).unwrap();
            fs::hard_link(old.with_extension("folder").join("events.jsonl"), old).unwrap();
        },
        &["/2", "/3"],
        &["/0", "/1"],
    ),
    (
        "copied and truncated",
        |file, old| {
            fs::copy(file, old).unwrap();
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(0).unwrap();
        },
        &["/2", "/3"],
        &["/0", "/1"],
    ),
    (
        "linked to another name, which keeps the file",
        |file, old| fs::hard_link(file, old).unwrap(),
        &["/0", "/1", "/2", "/3"],
        &["/0", "/1", "/2", "/3"],
    ),
    (
        "replaced by a link to the old file",
        |file, old| {
            fs::rename(file, old).unwrap();
            symlink(old, file).unwrap();
        },
        &["/0", "/1", "/2", "/3"],
        &["/0", "/1", "/2", "/3"],
    ),
    (
        "replaced by a link to a file that does not exist",
        |file, old| {
            fs::rename(file, old.with_extension("1")).unwrap();
            symlink(old, file).unwrap();
        },
        &["/2", "/3"],
        &["/2", "/3"],
    ),
    (
        "replaced by a device",
        |file, old| {
            fs::rename(file, old).unwrap();
            symlink("/dev/null", file).unwrap();
        },
        &[],
        &["/0", "/1"],
    ),
];

#[test]
fn events_after_a_rotation_are_in_the_file_that_has_the_path() {
    for (name, rotate, new_lines, old_lines) in ROTATIONS {
        let folder = TempFolder::new("rotation");
        let file = folder.file("logs/app/events.jsonl");
        let old = folder.file("old.jsonl");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let sink = JsonLinesSink::file(&file).unwrap();
        deliver(&sink, 0..2);
        rotate(&file, &old);
        deliver(&sink, 2..4);
        let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
        assert!(report.is_complete(), "{name}: {report}");
        assert_eq!(lines(&file), *new_lines, "{name}");
        assert_eq!(lines(&old), *old_lines, "{name}: the old file");
    }
}

#[test]
fn many_rotations_under_load_lose_no_event() {
    const EVENTS: usize = 20_000;
    let folder = TempFolder::new("rotation-load");
    let file = folder.file("events.jsonl");
    let sink = JsonLinesSink::file(&file).unwrap();
    let layer = EventLayer::new(sink.clone());
    let is_done = AtomicBool::new(false);
    let files: Vec<PathBuf> = thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            let mut files = Vec::new();
            while !is_done.load(SeqCst) {
                let old = folder.file(&format!("events.{}.jsonl", files.len()));
                if fs::rename(&file, &old).is_ok() {
                    files.push(old);
                }
                thread::yield_now();
            }
            files
        });
        for part in 0..10 {
            emit(&layer, part * EVENTS / 10..(part + 1) * EVENTS / 10);
            wait_until(|| report(&sink).in_flight() < 1_000);
        }
        wait_until(|| report(&sink).in_flight() == 0);
        is_done.store(true, SeqCst);
        rotating.join().unwrap()
    });
    assert!(files.len() > 10, "{} rotations", files.len());
    // The files of the rotations, in order, have every event once and in order.
    let found: Vec<String> = files.iter().chain([&file]).flat_map(|file| lines(file)).collect();
    assert_eq!(found, (0..EVENTS).map(|number| format!("/{number}")).collect::<Vec<_>>());
}

#[test]
fn events_wait_while_the_path_cannot_be_opened() {
    let blocked: &[(&str, Rotate, Rotate)] = &[
        (
            "a folder has the name",
            |file, old| {
                fs::rename(file, old).unwrap();
                fs::create_dir(file).unwrap();
            },
            |file, _| fs::remove_dir(file).unwrap(),
        ),
        (
            "a file has the name of the folder",
            |file, old| {
                fs::rename(file.parent().unwrap(), old).unwrap();
                fs::write(file.parent().unwrap(), "").unwrap();
            },
            |file, _| fs::remove_file(file.parent().unwrap()).unwrap(),
        ),
        (
            "a link leads nowhere",
            |file, old| {
                fs::rename(file, old).unwrap();
                symlink(old.join("none/such"), file).unwrap();
            },
            |file, _| fs::remove_file(file).unwrap(),
        ),
    ];
    for (name, block, unblock) in blocked {
        let folder = TempFolder::new("rotation-blocked");
        let (file, old) = (folder.file("logs/events.jsonl"), folder.file("old"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let retry = RetryPolicy::new().min_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(4));
        let sink = JsonLinesFile::open(&file).unwrap().queued().retry(retry).build();
        let report = || sink.delivery().report().sinks[0].clone();
        let layer = EventLayer::new(sink.clone());
        emit(&layer, 0..2);
        wait_until(|| report().delivered == 2);
        block(&file, &old);
        emit(&layer, 2..4);
        wait_until(|| report().health == SinkHealth::Unavailable);
        let away = report();
        assert_balance(&away);
        assert_eq!((away.delivered, away.in_flight()), (2, 2), "{name}");
        let error = away.last_error.unwrap();
        assert!(error.starts_with(&format!("cannot reopen {}: ", file.display())), "{name}: {error}");
        assert!(!sink.delivery().is_healthy(), "{name}");
        unblock(&file, &old);
        wait_until(|| report().in_flight() == 0);
        assert!(sink.delivery().is_healthy(), "{name}");
        assert!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete(), "{name}");
        assert_eq!(lines(&file), ["/2", "/3"], "{name}");
    }
}

#[test]
fn a_file_can_be_reopened_before_the_next_event() {
    let folder = TempFolder::new("rotation-reopen");
    let (file, old) = (folder.file("logs/events.jsonl"), folder.file("old.jsonl"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let sink = JsonLinesSink::file(&file).unwrap();
    deliver(&sink, 0..1);
    fs::rename(&file, &old).unwrap();
    sink.reopen().unwrap();
    assert!(file.exists(), "the file exists before an event is written");
    deliver(&sink, 1..2);
    // A file that is rotated again before the next event.
    sink.reopen().unwrap();
    fs::rename(&file, folder.file("older.jsonl")).unwrap();
    deliver(&sink, 2..3);
    assert_eq!(
        (lines(&old), lines(&folder.file("older.jsonl")), lines(&file)),
        (vec!["/0".to_owned()], vec!["/1".to_owned()], vec!["/2".to_owned()])
    );
    // Reopening a file that was not rotated changes nothing.
    sink.reopen().unwrap();
    deliver(&sink, 3..4);
    assert_eq!(lines(&file), ["/2", "/3"]);
    // A failure is returned, and the sink keeps its file.
    fs::rename(&file, &old).unwrap();
    fs::create_dir(&file).unwrap();
    let error = sink.reopen().unwrap_err();
    assert_eq!(error.path(), file);
    assert!(error.to_string().starts_with(&format!("cannot reopen {}: ", file.display())), "{error}");
    fs::remove_dir(&file).unwrap();
    fs::rename(&old, &file).unwrap();
    deliver(&sink, 4..5);
    assert_eq!(lines(&file), ["/2", "/3", "/4"]);
    // Sinks without a file have nothing to reopen.
    assert!(JsonLinesSink::writer(Vec::new()).reopen().is_ok());
}

#[test]
fn outputs_that_are_not_files_are_never_reopened() {
    let folder = TempFolder::new("rotation-device");
    let link = folder.file("events.jsonl");
    symlink("/dev/null", &link).unwrap();
    let sink = JsonLinesSink::file(&link).unwrap();
    deliver(&sink, 0..1);
    fs::remove_file(&link).unwrap();
    deliver(&sink, 1..2);
    assert!(!link.exists());
}

#[test]
fn a_file_that_can_only_be_appended_to_is_followed() {
    let folder = TempFolder::new("rotation-append-only");
    let (file, old) = (folder.file("events.jsonl"), folder.file("old.jsonl"));
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o200)).unwrap();
    let sink = JsonLinesSink::file(&file).unwrap();
    deliver(&sink, 0..1);
    fs::rename(&file, &old).unwrap();
    deliver(&sink, 1..2);
    fs::set_permissions(&old, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!((lines(&old), lines(&file)), (vec!["/0".to_owned()], vec!["/1".to_owned()]));
}

/// A limit on the size of files stands in for a full disk.
#[test]
fn the_rest_of_a_torn_line_is_written_as_a_whole_after_a_rotation() {
    const CHILD: &str = "TOWER_TAGGING_TEST_TORN_LINE";
    if let Some(folder) = std::env::var_os(CHILD) {
        let folder = PathBuf::from(folder);
        for truncates in [false, true] {
            let (file, old) = (folder.join(format!("{truncates}.jsonl")), folder.join(format!("{truncates}.old")));
            let retry = RetryPolicy::new().min_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(4));
            let sink = JsonLinesFile::open(&file).unwrap().queued().retry(retry).build();
            let report = || sink.delivery().report().sinks[0].clone();
            emit(&EventLayer::new(sink.clone()), 0..200);
            wait_until(|| report().health == SinkHealth::Unavailable);
            let mut found = lines(&file);
            if truncates {
                fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(0).unwrap();
            } else {
                fs::rename(&file, &old).unwrap();
            }
            wait_until(|| report().in_flight() == 0);
            assert!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
            assert_eq!(found.pop().as_deref(), Some("!"), "the last line of the old file is torn");
            // A truncation during a write leaves an empty line at the start.
            let start = usize::from(truncates && fs::read_to_string(&file).unwrap().starts_with('\n'));
            found.extend_from_slice(&lines(&file)[start..]);
            assert_eq!(found, (0..200).map(|number| format!("/{number}")).collect::<Vec<_>>());
        }
        return;
    }
    let folder = TempFolder::new("rotation-torn");
    let script = "ulimit -f 100; trap '' XFSZ; exec \"$0\" --exact \
                  the_rest_of_a_torn_line_is_written_as_a_whole_after_a_rotation --nocapture";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
