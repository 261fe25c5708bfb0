//! Spools whose directory is removed, replaced, or not writable while events are written to it.

#![cfg(unix)]

mod common;

use std::{
    fs,
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use common::{
    Log, TempFolder,
    delivery::{assert_balance, emit, emit_tagged, report, wait_until},
};
use tower_tagging::{
    Event, EventLayer, Sink,
    sink::{
        BatchWriter, DropReason, Queued, QueuedBuilder, RetryPolicy, SinkHealth, SinkReport, Spool, SpoolMode,
        WriteError,
    },
};

/// A destination that is unavailable until `is_up` is set.
#[derive(Clone, Default)]
struct Destination {
    is_up: Arc<AtomicBool>,
    written: Arc<Mutex<Vec<String>>>,
}

impl Destination {
    fn up() -> Self {
        let destination = Self::default();
        destination.is_up.store(true, SeqCst);
        destination
    }

    fn set_up(&self) {
        self.is_up.store(true, SeqCst);
    }

    fn written(&self) -> Vec<String> {
        self.written.lock().unwrap().clone()
    }

    /// Returns the paths of the events that were written, in the order of their numbers.
    fn sorted(&self) -> Vec<String> {
        let mut written = self.written();
        written.sort_by_key(|path| path[1..].parse::<usize>().unwrap());
        written
    }
}

impl BatchWriter for Destination {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        if !self.is_up.load(SeqCst) {
            return Err(WriteError::retryable("away"));
        }
        self.written.lock().unwrap().extend(events.iter().map(|event| event.path().to_owned()));
        Ok(())
    }
}

fn paths(numbers: Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("/{number}")).collect()
}

fn builder(folder: &Path, mode: SpoolMode, destination: &Destination) -> QueuedBuilder<Destination> {
    let retry = RetryPolicy::new().min_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(4));
    let spool = loop {
        match Spool::builder(folder).mode(mode).segment_bytes(64 * 1024).open() {
            // A process that another test starts has the files of this one until it runs its own program.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => thread::yield_now(),
            result => break result.unwrap(),
        }
    };
    Queued::builder("billing", destination.clone()).retry(retry).spool(spool)
}

fn always(folder: &Path, destination: &Destination) -> Queued {
    builder(folder, SpoolMode::Always, destination).build()
}

/// Delivers what the next process finds in the directory.
fn delivered_by_the_next_process(folder: &Path) -> (Vec<String>, SinkReport) {
    let destination = Destination::up();
    let sink = always(folder, &destination);
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(20)).sinks[0].clone();
    (destination.written(), report)
}

/// A way to make a directory unusable, or to repair it. Gets its path and another one.
type Change = fn(&Path, &Path);

/// Removes a directory in one step, so that the sink cannot create it again halfway.
fn remove(path: &Path) {
    let removed = path.with_extension("removed");
    fs::rename(path, &removed).unwrap();
    fs::remove_dir_all(&removed).unwrap();
}

fn replace_by_file(path: &Path, other: &Path) {
    fs::rename(path, other).unwrap();
    fs::write(path, "").unwrap();
}

/// How the directory is made unusable and repaired, and the cause that is reported.
const FAILURES: &[(&str, Change, Change, &str)] = &[
    (
        "removed and replaced by a file",
        |path, _| {
            remove(path);
            fs::write(path, "").unwrap();
        },
        |path, _| fs::remove_file(path).unwrap(),
        "is not writable (file exists)",
    ),
    ("renamed and replaced by a file", replace_by_file, |path, _| fs::remove_file(path).unwrap(), "(file exists)"),
    (
        "renamed and replaced by a file, and back",
        replace_by_file,
        |path, other| {
            fs::remove_file(path).unwrap();
            fs::rename(other, path).unwrap();
        },
        "(file exists)",
    ),
    (
        "parent replaced by a file",
        |path, other| replace_by_file(path.parent().unwrap(), other),
        |path, _| fs::remove_file(path.parent().unwrap()).unwrap(),
        "(not a directory)",
    ),
    (
        "replaced by a link to nowhere",
        |path, other| {
            remove(path);
            std::os::unix::fs::symlink(other.join("no/such"), path).unwrap();
        },
        |path, _| fs::remove_file(path).unwrap(),
        "(file exists)",
    ),
];

#[test]
fn a_directory_that_cannot_be_written_is_reported_at_once_and_used_again_once_it_can() {
    for (name, break_it, repair, cause) in FAILURES {
        for is_up in [true, false] {
            let name = format!("{name}, destination up: {is_up}");
            let folder = TempFolder::new("spool-broken");
            let (path, other) = (folder.file("data/spool"), folder.file("other"));
            let destination = Destination::default();
            destination.is_up.store(is_up, SeqCst);
            let sink = always(&path, &destination);
            let layer = EventLayer::new(sink.clone());
            emit(&layer, 0..3);
            if is_up {
                wait_until(|| report(&sink).in_flight() == 0 && report(&sink).spool.waiting == 0);
            }
            break_it(&path, &other);
            // Without an event, and with events.
            assert_eq!(report(&sink).health, SinkHealth::SpoolFailed, "{name}");
            assert!(!sink.delivery().is_healthy(), "{name}");
            emit(&layer, 3..8);
            let broken = report(&sink);
            assert_balance(&broken);
            assert_eq!((broken.health, broken.dropped()), (SinkHealth::SpoolFailed, 0), "{name}");
            let error = broken.last_error.clone().unwrap();
            assert!(error.starts_with(&format!("spool directory {} is not writable (", path.display())), "{error}");
            assert!(error.contains(cause), "{name}: {error}");
            if !is_up {
                // Those before the failure are not in the directory anymore.
                assert_eq!((broken.spool.waiting, broken.in_memory()), (0, 8), "{name}: {broken:?}");
                assert!(error.ends_with("; 8 events are held in memory only"), "{name}: {error}");
            }
            assert!(broken.to_string().contains(", spool_failed, last error: spool directory "), "{broken}");

            repair(&path, &other);
            wait_until(|| sink.delivery().is_healthy() || !is_up && report(&sink).health == SinkHealth::Unavailable);
            // The events from memory are on disk, although the destination is still away.
            wait_until(|| report(&sink).in_memory() == 0);
            emit(&layer, 8..10);
            assert_eq!(report(&sink).in_memory(), 0, "{name}: {:?}", report(&sink));
            if is_up {
                wait_until(|| report(&sink).in_flight() == 0 && report(&sink).spool.waiting == 0);
                assert_eq!(destination.sorted(), paths(0..10), "{name}");
            } else {
                assert_eq!(report(&sink).spool.waiting, 10, "{name}: {:?}", report(&sink));
            }
            let end = sink.delivery().shutdown_blocking(Duration::from_secs(20));
            assert_eq!(end.sinks[0].dropped(), 0, "{name}: {end}");
            drop((sink, layer));
            let (mut found, next) = delivered_by_the_next_process(&path);
            found.sort_by_key(|path| path[1..].parse::<usize>().unwrap());
            assert_eq!(found, if is_up { vec![] } else { paths(0..10) }, "{name}: {next}");
        }
    }
}

#[test]
fn a_directory_that_was_removed_is_created_again_with_the_events_of_the_open_file() {
    // How files are removed. The directory is usable all the time.
    type Removal = (&'static str, fn(&Path));
    let removals: &[Removal] = &[
        ("the directory", remove),
        ("its parent", |path| remove(path.parent().unwrap())),
        ("its content", |path| {
            for file in fs::read_dir(path).unwrap().map(|file| file.unwrap().path()) {
                let _ = fs::remove_file(file);
            }
        }),
        ("the lock", |path| fs::remove_file(path.join("lock")).unwrap()),
        ("the open file", |path| {
            for file in fs::read_dir(path).unwrap().map(|file| file.unwrap().path()) {
                if file.extension().is_some_and(|extension| extension == "log") {
                    fs::remove_file(file).unwrap();
                }
            }
        }),
        ("the directory, which is renamed", |path| {
            let _ = fs::remove_dir_all(path.with_extension("old"));
            fs::rename(path, path.with_extension("old")).unwrap();
        }),
        ("the directory, and it is created empty", |path| {
            remove(path);
            fs::create_dir(path).unwrap();
        }),
    ];
    for (name, remove_it) in removals {
        for before in [0..0, 0..20] {
            let folder = TempFolder::new("spool-removed");
            let path = folder.file("data/spool");
            let destination = Destination::up();
            let sink = always(&path, &destination);
            let layer = EventLayer::new(sink.clone());
            // The first events are delivered before the removal, and not again by the next process.
            emit(&layer, before.clone());
            wait_until(|| report(&sink).in_flight() == 0 && report(&sink).spool.waiting == 0);
            destination.is_up.store(false, SeqCst);
            emit(&layer, 20..30);
            remove_it(&path);
            emit(&layer, 30..40);
            wait_until(|| report(&sink).health == SinkHealth::Unavailable);
            assert_eq!((report(&sink).spool.waiting, report(&sink).in_memory()), (20, 0), "{name}");
            assert_eq!(Spool::open(&path).unwrap_err().kind(), ErrorKind::ResourceBusy, "{name}");
            // Again, and without an event this time.
            remove_it(&path);
            wait_until(|| report(&sink).health == SinkHealth::Unavailable && path.join("lock").exists());
            let end = sink.delivery().shutdown_blocking(Duration::from_secs(20));
            assert_eq!((end.sinks[0].dropped(), end.sinks[0].spool.waiting), (0, 20), "{name}: {end}");
            drop((sink, layer));
            let (found, next) = delivered_by_the_next_process(&path);
            assert_eq!(found, paths(20..40), "{name}: {next}");
            assert_eq!(next.spool.damaged, 0, "{name}: {next}");
        }
    }
}

#[test]
fn events_in_complete_files_are_lost_with_their_directory_and_counted() {
    let folder = TempFolder::new("spool-lost");
    let path = folder.file("spool");
    let destination = Destination::default();
    let sink = builder(&path, SpoolMode::Always, &destination).max_batch(10).build();
    let layer = EventLayer::new(sink.clone());
    emit_tagged(&layer, 0..500, "a tag");
    assert!(fs::read_dir(&path).unwrap().count() > 5, "events are in several files");
    remove(&path);
    emit_tagged(&layer, 500..510, "a tag");
    assert_balance(&report(&sink));
    destination.set_up();
    wait_until(|| report(&sink).in_flight() == 0 && report(&sink).spool.waiting == 0);
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(20)).sinks[0].clone();
    assert_balance(&report);
    assert!(report.dropped_for(DropReason::SpoolFailed) > 10, "{report}");
    assert_eq!(report.delivered + report.dropped_for(DropReason::SpoolFailed), 510, "{report}");
    let written = destination.written();
    assert_eq!(written.len() as u64, report.delivered);
    assert!(written.ends_with(&paths(500..510)));
}

#[test]
fn another_process_that_uses_the_new_directory_is_left_alone() {
    let folder = TempFolder::new("spool-taken");
    let path = folder.file("spool");
    let destination = Destination::default();
    let sink = always(&path, &destination);
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..3);
    remove(&path);
    let taken = Spool::builder(&path).mode(SpoolMode::Always).open().unwrap();
    let other = Queued::builder("other", Destination::default()).spool(taken).build();
    emit(&EventLayer::new(other.clone()), 100..105);
    emit(&layer, 3..6);
    let error = report(&sink).last_error.unwrap();
    assert!(error.contains("is not writable (the spool is already open, "), "{error}");
    assert!(error.ends_with("; 6 events are held in memory only"), "{error}");
    assert_eq!(other.delivery().shutdown_blocking(Duration::from_secs(20)).sinks[0].spool.waiting, 5);
    drop(other);
    // The other process has ended, and has left events that its next process delivers.
    let error = report(&sink).last_error.unwrap();
    assert!(error.contains("is not writable (the directory has events of another process); 6 events"), "{error}");
    destination.set_up();
    wait_until(|| report(&sink).in_flight() == 0);
    assert_eq!(destination.sorted(), paths(0..6));
    let (found, _) = delivered_by_the_next_process(&path);
    assert_eq!(found, paths(100..105));
    wait_until(|| sink.delivery().is_healthy());
    destination.is_up.store(false, SeqCst);
    emit(&layer, 6..8);
    // A batch counts as delivered a moment before it is committed.
    wait_until(|| (report(&sink).spool.waiting, report(&sink).in_memory()) == (2, 0));
    let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
}

#[test]
fn failures_and_their_ends_are_logged_once() {
    let folder = TempFolder::new("spool-logged");
    let (path, other) = (folder.file("spool"), folder.file("other"));
    let log = Log::default();
    let writer = log.clone();
    // The sink's thread logs too. Other tests have other directories.
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let sink = always(&path, &Destination::up());
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..3);
    replace_by_file(&path, &other);
    for number in 3..1000 {
        emit(&layer, number..number + 1);
    }
    wait_until(|| report(&sink).health == SinkHealth::SpoolFailed);
    fs::remove_file(&path).unwrap();
    wait_until(|| sink.delivery().is_healthy());
    emit(&layer, 0..3);
    let text = log.take();
    let directory = format!("directory={} ", path.display());
    for message in [
        "WARN tower_tagging::delivery: spool is not writable, events are held in memory only",
        "INFO tower_tagging::delivery: spool is writable again",
        "WARN tower_tagging::delivery: spool directory was removed and is created again",
    ] {
        let is_logged = |line: &&str| line.contains(message) && format!("{line} ").contains(&directory);
        assert_eq!(text.lines().filter(is_logged).count(), 1, "{message}: {text}");
    }
    // A sink that runs would create the directory again after the test.
    let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
}

#[test]
fn memory_is_bounded_while_the_spool_cannot_be_written() {
    for mode in [SpoolMode::Always, SpoolMode::OnOverflow] {
        let folder = TempFolder::new("spool-bounded");
        let (path, other) = (folder.file("spool"), folder.file("other"));
        let destination = Destination::default();
        let sink = builder(&path, mode, &destination).capacity(10).max_batch(5).build();
        let layer = EventLayer::new(sink.clone());
        replace_by_file(&path, &other);
        emit(&layer, 0..100);
        wait_until(|| report(&sink).health == SinkHealth::SpoolFailed);
        let broken = report(&sink);
        assert_balance(&broken);
        let dropped = broken.dropped_for(DropReason::SpoolFailed);
        assert!((75..=90).contains(&dropped) && broken.dropped() == dropped, "{mode}: {broken}");
        assert_eq!(broken.in_memory(), 100 - dropped, "{mode}: {broken}");
        fs::remove_file(&path).unwrap();
        wait_until(|| report(&sink).health != SinkHealth::SpoolFailed);
        emit(&layer, 100..200);
        assert_eq!(report(&sink).dropped(), dropped, "{mode}: {}", report(&sink));
        destination.set_up();
        wait_until(|| report(&sink).in_flight() == 0);
        let end = sink.delivery().shutdown_blocking(Duration::from_secs(20));
        assert_eq!(end.sinks[0].delivered, 200 - dropped, "{mode}: {end}");
        let written = destination.sorted();
        assert_eq!(written.len() as u64, 200 - dropped, "{mode}");
        assert!(written.windows(2).all(|pair| pair[0] != pair[1]), "{mode}: no event is written twice");
        assert!(written.ends_with(&paths(100..200)), "{mode}");
    }
}

#[test]
fn a_spool_that_stays_broken_does_not_keep_a_shutdown_from_ending() {
    let folder = TempFolder::new("spool-stays-broken");
    let (path, other) = (folder.file("spool"), folder.file("other"));
    let destination = Destination::default();
    let sink = always(&path, &destination);
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..3);
    replace_by_file(&path, &other);
    emit(&layer, 3..8);
    let _ = sink.delivery().shutdown_blocking(Duration::from_millis(200));
    wait_until(|| report(&sink).health == SinkHealth::Stopped && report(&sink).spool.waiting == 0);
    let end = report(&sink);
    assert_balance(&end);
    assert_eq!((end.delivered, end.dropped() + end.in_memory()), (0, 8), "{end}");
    assert!(end.last_error.as_ref().unwrap().contains("is not writable (file exists)"), "{end}");
    let kept = usize::try_from(end.in_memory()).unwrap();
    drop((sink, layer));
    // The events that were spooled before are in the directory that was renamed.
    let (found, _) = delivered_by_the_next_process(&other);
    assert_eq!((found, kept >= 3), (paths(0..kept), true));
}

/// Makes calls fail whose file is in the spool: `write` and `open` return the error whose number is in a file.
#[cfg(target_os = "linux")]
const FAILING_CALLS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The number in a control file, or 0. */
static int failure(const char *call) {
    char path[4096], digits[16] = {0};
    snprintf(path, sizeof path, "%s/%s", getenv("FAILURES"), call);
    int file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    if (file < 0) return 0;
    syscall(SYS_read, file, digits, sizeof digits - 1);
    syscall(SYS_close, file);
    return atoi(digits);
}

static int is_log(const char *path) {
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".log") == 0;
}

ssize_t write(int fd, const void *data, size_t length) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size > 0) {
        path[size] = 0;
        int error = is_log(path) ? failure("write") : 0;
        /* Part of the data is written before a disk is full. */
        if (error && length > 100) return syscall(SYS_write, fd, data, 100);
        if (error) { errno = error; return -1; }
    }
    return syscall(SYS_write, fd, data, length);
}

static int open_file(const char *path, int flags, int mode) {
    int error = is_log(path) ? failure(flags & O_CREAT ? "open" : "read") : 0;
    if (error) { errno = error; return -1; }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list list; va_start(list, flags); int mode = va_arg(list, int); va_end(list);
    return open_file(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list list; va_start(list, flags); int mode = va_arg(list, int); va_end(list);
    return open_file(path, flags, mode);
}
"#;

#[cfg(target_os = "linux")]
#[test]
fn errors_of_the_disk_are_reported_and_end() {
    const CHILD: &str = "TOWER_TAGGING_TEST_DISK_ERRORS";
    let cases = [
        ("write", 28, "no space left on device"),
        ("write", 122, "disk quota exceeded"),
        ("write", 5, "input/output error"),
        ("write", 27, "file too large"),
        ("open", 13, "permission denied"),
        ("open", 24, "too many open files"),
        ("open", 30, "read-only file system"),
    ];
    if let Some(folder) = std::env::var_os(CHILD) {
        let folder = PathBuf::from(folder);
        for (number, (call, error, cause)) in cases.into_iter().enumerate() {
            let path = folder.join(format!("spool-{number}"));
            let destination = Destination::default();
            let sink = always(&path, &destination);
            let layer = EventLayer::new(sink.clone());
            if call == "write" {
                emit(&layer, 0..3);
            }
            fs::write(folder.join(call), error.to_string()).unwrap();
            emit(&layer, 3..8);
            let broken = report(&sink);
            let spooled = if call == "write" { 3 } else { 0 };
            assert_eq!(
                (broken.health, broken.spool.waiting, broken.in_memory()),
                (SinkHealth::SpoolFailed, spooled, 5)
            );
            let expected = format!(
                "spool directory {} is not writable ({cause}); 5 events are held in memory only",
                path.display()
            );
            assert_eq!(broken.last_error.as_deref(), Some(expected.as_str()));
            // It stays broken, however often that is checked.
            for _ in 0..20 {
                assert!(!sink.delivery().is_healthy());
            }
            fs::remove_file(folder.join(call)).unwrap();
            wait_until(|| report(&sink).in_memory() == 0);
            emit(&layer, 8..9);
            assert_eq!(report(&sink).spool.waiting, spooled + 6);
            let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
            drop((sink, layer));
            let (mut found, next) = delivered_by_the_next_process(&path);
            found.sort();
            assert_eq!((found, next.spool.damaged), (if call == "write" { paths(0..9) } else { paths(3..9) }, 0));
        }
        // Events of an earlier process cannot be read for a while.
        let path = folder.join("spool-read");
        let sink = always(&path, &Destination::default());
        emit(&EventLayer::new(sink.clone()), 0..3);
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
        drop(sink);
        let destination = Destination::up();
        let builder = builder(&path, SpoolMode::Always, &destination);
        fs::write(folder.join("read"), "13").unwrap();
        let sink = builder.build();
        wait_until(|| report(&sink).health == SinkHealth::SpoolFailed);
        let expected = format!(
            "spool directory {} is not readable (permission denied); 3 events are waiting in it",
            path.display()
        );
        assert_eq!(report(&sink).last_error.as_deref(), Some(expected.as_str()));
        fs::remove_file(folder.join("read")).unwrap();
        wait_until(|| report(&sink).in_flight() == 0 && sink.delivery().is_healthy());
        assert_eq!(destination.written(), paths(0..3));
        return;
    }
    let folder = TempFolder::new("spool-disk");
    let (source, library) = (folder.file("calls.c"), folder.file("calls.so"));
    fs::write(&source, FAILING_CALLS).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(compiled.expect("a C compiler is needed, as for dependencies").success());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "errors_of_the_disk_are_reported_and_end", "--nocapture"])
        .env(CHILD, folder.path())
        .env("FAILURES", folder.path())
        .env("LD_PRELOAD", &library)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
