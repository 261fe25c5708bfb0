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
        Arc, Condvar, Mutex,
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
            let (mut found, next) = delivered_by_the_next_process(&path);
            // Events that arrive during the repair can overtake those that are written again.
            found.sort();
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
    // An event that is written before the loss is noticed is lost as well.
    wait_until(|| path.join("lock").exists());
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
    assert!(paths(500..510).iter().all(|path| written.contains(path)), "{report}");
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

/// Returns the last segment in a directory.
fn last_segment(path: &Path) -> PathBuf {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

#[test]
fn a_problem_with_reading_ends_when_there_is_nothing_to_read() {
    // What the operator does about a file that cannot be read, and how many of three events are delivered after that. The
    // path is the one of the file, which was moved to the other path.
    let repairs: &[(&str, Change, usize)] = &[
        ("removes the directory", |file, _| remove(file.parent().unwrap()), 0),
        ("removes the file", |file, _| fs::remove_dir(file).unwrap(), 0),
        (
            "restores the file",
            |file, other| {
                fs::remove_dir(file).unwrap();
                fs::rename(other, file).unwrap();
            },
            3,
        ),
        (
            "restores a file that is cut off",
            |file, other| {
                fs::remove_dir(file).unwrap();
                let bytes = fs::read(other).unwrap();
                fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
            },
            0,
        ),
        (
            "restores a file without content",
            |file, _| {
                fs::remove_dir(file).unwrap();
                fs::write(file, "").unwrap();
            },
            0,
        ),
        (
            "restores a damaged file",
            |file, other| {
                fs::remove_dir(file).unwrap();
                fs::write(file, vec![0xFF; fs::read(other).unwrap().len()]).unwrap();
            },
            0,
        ),
    ];
    let mut sinks = Vec::new();
    for (number, (name, repair, delivered)) in repairs.iter().enumerate() {
        let folder = TempFolder::new(&format!("spool-unreadable-{number}"));
        let (path, other) = (folder.file("spool"), folder.file("other"));
        let sink = always(&path, &Destination::default());
        emit(&EventLayer::new(sink.clone()), 0..3);
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
        drop(sink);
        let destination = Destination::up();
        let builder = builder(&path, SpoolMode::Always, &destination);
        let file = last_segment(&path);
        fs::rename(&file, &other).unwrap();
        fs::create_dir(&file).unwrap();
        let sink = builder.build();
        wait_until(|| report(&sink).health == SinkHealth::SpoolFailed);
        let error = report(&sink).last_error.unwrap();
        assert!(error.ends_with("is not readable (is a directory); 3 events are waiting in it"), "{name}: {error}");
        repair(&file, &other);
        sinks.push((name, folder, sink, destination, *delivered));
    }
    for (name, _folder, sink, destination, delivered) in sinks {
        wait_until(|| report(&sink).in_flight() == 0 && sink.delivery().is_healthy());
        let end = report(&sink);
        assert_balance(&end);
        assert_eq!((end.health, destination.written()), (SinkHealth::Healthy, paths(0..delivered)), "{name}: {end}");
        assert_eq!(end.dropped_for(DropReason::SpoolFailed), 3 - delivered as u64, "{name}: {end}");
        // New events are delivered.
        emit(&EventLayer::new(sink.clone()), 3..5);
        wait_until(|| report(&sink).in_flight() == 0);
        assert_eq!(destination.written()[delivered..], paths(3..5), "{name}");
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
    }
}

/// A file without events cannot be read, and all events in other files are delivered.
#[test]
fn a_file_without_events_that_cannot_be_read_is_no_problem() {
    for content in ["", "not a record"] {
        let folder = TempFolder::new("spool-no-events");
        let path = folder.file("spool");
        let sink = always(&path, &Destination::default());
        emit(&EventLayer::new(sink.clone()), 0..3);
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
        drop(sink);
        let file = last_segment(&path);
        let number = file.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap() + 1;
        let next = path.join(format!("{number:020}.log"));
        fs::write(&next, content).unwrap();
        let destination = Destination::up();
        let builder = builder(&path, SpoolMode::Always, &destination);
        let _ = fs::remove_file(&next);
        fs::create_dir(&next).unwrap();
        let sink = builder.build();
        wait_until(|| report(&sink).in_flight() == 0 && sink.delivery().is_healthy());
        assert_eq!(destination.written(), paths(0..3));
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
    }
}

/// A destination that is up, and blocks until it is opened.
#[derive(Clone, Default)]
struct Blocking {
    destination: Destination,
    is_writing: Arc<AtomicBool>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Blocking {
    fn open(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }
}

impl BatchWriter for Blocking {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.is_writing.store(true, SeqCst);
        drop(self.gate.1.wait_while(self.gate.0.lock().unwrap(), |is_open| !*is_open).unwrap());
        self.destination.write(events)
    }
}

/// Returns a sink whose worker is writing, with ten events in its spool, and removes the directory.
fn removed_while_writing(path: &Path, capacity: usize) -> (Queued, EventLayer, Blocking) {
    let blocking = Blocking { destination: Destination::up(), ..Blocking::default() };
    let spool = Spool::builder(path).mode(SpoolMode::Always).open().unwrap();
    let sink = Queued::builder("billing", blocking.clone()).capacity(capacity).spool(spool).build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..5);
    wait_until(|| blocking.is_writing.load(SeqCst));
    emit(&layer, 5..10);
    remove(path);
    (sink, layer, blocking)
}

fn has_segment(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|files| {
        files.into_iter().any(|file| file.unwrap().path().extension().is_some_and(|extension| extension == "log"))
    })
}

/// Requests and reports do not copy files.
#[test]
fn the_worker_restores_the_events_of_a_directory_that_was_removed() {
    for events in [10..10, 10..11, 10..500] {
        let folder = TempFolder::new("spool-by-worker");
        let path = folder.file("spool");
        let (sink, layer, blocking) = removed_while_writing(&path, 1000);
        assert!(!sink.delivery().is_healthy());
        emit(&layer, events.clone());
        let removed = report(&sink);
        assert_balance(&removed);
        assert_eq!((removed.health, removed.dropped()), (SinkHealth::SpoolFailed, 0), "{removed}");
        assert_eq!((removed.spool.waiting, removed.in_memory()), (0, events.end as u64), "{removed}");
        let error = removed.last_error.unwrap();
        let expected = format!(
            "spool directory {} is not writable (the directory was removed or replaced); {} events are held in memory only",
            path.display(),
            events.end
        );
        assert_eq!(error, expected);
        assert!(!has_segment(&path), "a request copied the file");
        blocking.open();
        wait_until(|| report(&sink).in_flight() == 0 && sink.delivery().is_healthy());
        assert_eq!(blocking.destination.sorted(), paths(0..events.end));
        let end = sink.delivery().shutdown_blocking(Duration::from_secs(20)).sinks[0].clone();
        assert_balance(&end);
        assert_eq!((end.delivered, end.dropped()), (events.end as u64, 0), "{end}");
        drop((sink, layer));
        assert_eq!(delivered_by_the_next_process(&path).0, [""; 0]);
    }
}

/// Without the worker, the directory is restored by a request that finds memory full, or by the shutdown.
#[test]
fn no_event_of_a_removed_directory_is_lost_while_the_worker_is_busy() {
    for (capacity, events) in [(4, 10..200), (1000, 10..20)] {
        let folder = TempFolder::new("spool-busy-worker");
        let path = folder.file("spool");
        let (sink, layer, blocking) = removed_while_writing(&path, capacity);
        emit(&layer, events.clone());
        let end = sink.delivery().shutdown_blocking(Duration::from_millis(50)).sinks[0].clone();
        assert_balance(&end);
        assert_eq!((end.dropped(), end.in_memory(), end.delivered), (0, 0, 0), "{end}");
        assert_eq!(end.spool.waiting, events.end as u64, "{end}");
        assert!(has_segment(&path));
        blocking.open();
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
        let written = blocking.destination.sorted();
        drop((sink, layer));
        let found = [written, delivered_by_the_next_process(&path).0].concat();
        assert_eq!(found.len(), events.end, "each event is delivered once");
        let mut found = found;
        found.sort_by_key(|path| path[1..].parse::<usize>().unwrap());
        assert_eq!(found, paths(0..events.end));
    }
}

/// Many threads append, and look at the sink, while its directory is removed again and again.
#[test]
fn events_are_delivered_once_while_their_directory_is_removed() {
    let folder = TempFolder::new("spool-removed-often");
    let path = folder.file("spool");
    let destination = Destination::default();
    let retry = RetryPolicy::new().min_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(4));
    let spool = Spool::builder(&path).mode(SpoolMode::Always).open().unwrap();
    let sink = Queued::builder("billing", destination.clone()).retry(retry).spool(spool).build();
    thread::scope(|scope| {
        for thread in 0..4 {
            let layer = EventLayer::new(sink.clone());
            scope.spawn(move || emit(&layer, thread * 500..(thread + 1) * 500));
        }
        for round in 1..=20 {
            wait_until(|| has_segment(&path) && report(&sink).accepted >= round * 50);
            assert_balance(&report(&sink));
            remove(&path);
        }
    });
    wait_until(|| report(&sink).in_memory() == 0 && report(&sink).spool.waiting == 2000);
    destination.set_up();
    wait_until(|| report(&sink).in_flight() == 0);
    assert_eq!(destination.sorted(), paths(0..2000));
    let end = sink.delivery().shutdown_blocking(Duration::from_secs(20)).sinks[0].clone();
    assert_eq!((end.delivered, end.dropped(), end.spool.damaged), (2000, 0, 0), "{end}");
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

/* Writes as much as a full disk has room for: up to a file size. Records the call in a file if there is none. */
static size_t room(int fd, size_t length, int limit) {
    long size = lseek(fd, 0, SEEK_END);
    if (size < limit) return length < (size_t)(limit - size) ? length : (size_t)(limit - size);
    char path[4096];
    snprintf(path, sizeof path, "%s/refused", getenv("FAILURES"));
    int file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, file, "x", 1);
    syscall(SYS_close, file);
    return 0;
}

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
        int limit = is_log(path) ? failure("room") : 0;
        if (limit) length = room(fd, length, limit);
        if (!length) { errno = ENOSPC; return -1; }
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
    run_with_failing_calls("errors_of_the_disk_are_reported_and_end", CHILD);
}

/// Runs a test in a separate process, in which calls fail. A variable has the folder for the control files.
#[cfg(target_os = "linux")]
fn run_with_failing_calls(test: &str, variable: &str) {
    let folder = TempFolder::new("spool-disk");
    let (source, library) = (folder.file("calls.c"), folder.file("calls.so"));
    fs::write(&source, FAILING_CALLS).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(compiled.expect("a C compiler is needed, as for dependencies").success());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, folder.path())
        .env("FAILURES", folder.path())
        .env("LD_PRELOAD", &library)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Returns an event whose record has about a number of kibibytes.
#[cfg(target_os = "linux")]
fn event_of_size(number: usize, kibibytes: usize) -> Arc<Event> {
    let tags = (0..kibibytes * 8).map(|tag| (format!("tag-{tag}"), "x".repeat(112)));
    let tags = tags.collect::<tower_tagging::Metadata>();
    Arc::new(Event::builder().path(format!("/{number}")).tags(tower_tagging::Scope::Request, tags).build())
}

/// There is room for some events, but not for those that are refused.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_almost_full_stays_failed_and_costs_little() {
    const CHILD: &str = "TOWER_TAGGING_TEST_ALMOST_FULL";
    let Some(folder) = std::env::var_os(CHILD) else {
        return run_with_failing_calls("a_disk_that_is_almost_full_stays_failed_and_costs_little", CHILD);
    };
    let folder = PathBuf::from(folder);
    // The room on the disk, in bytes, and the sizes of the events.
    for (round, (room, sizes)) in
        [(5_000, vec![8]), (9_000, vec![12, 16, 12]), (20_000, vec![32]), (100, vec![1, 8, 1])].into_iter().enumerate()
    {
        let path = folder.join(format!("spool-{round}"));
        let destination = Destination::default();
        let delay = Duration::from_millis(20);
        let retry = RetryPolicy::new().min_delay(delay).max_delay(Duration::from_secs(60));
        let sink = builder(&path, SpoolMode::Always, &destination).retry(retry).build();
        fs::write(folder.join("room"), room.to_string()).unwrap();
        let _ = fs::remove_file(folder.join("refused"));
        for (number, size) in sizes.iter().enumerate() {
            sink.emit(event_of_size(number, *size));
        }
        // The worker, and each report, look for room.
        wait_until(|| {
            assert!(!sink.delivery().is_healthy(), "round {round}");
            fs::metadata(folder.join("refused")).map_or(0, |file| file.len()) >= 30
        });
        let full = report(&sink);
        assert_balance(&full);
        let events = sizes.len() as u64;
        assert_eq!((full.health, full.in_memory(), full.dropped()), (SinkHealth::SpoolFailed, events, 0), "{full}");
        // Each is an attempt to write to the destination.
        assert!(full.retried <= 12 * events, "round {round}: {full}");
        assert!(full.last_error.as_ref().unwrap().contains("is not writable (no space left on device)"), "{full}");
        fs::remove_file(folder.join("room")).unwrap();
        wait_until(|| report(&sink).in_memory() == 0);
        assert_eq!(report(&sink).spool.waiting, events);
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
        drop(sink);
        let (mut found, next) = delivered_by_the_next_process(&path);
        found.sort();
        assert_eq!((found, next.spool.damaged), (paths(0..sizes.len()), 0), "round {round}");
    }
}
