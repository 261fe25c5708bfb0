use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use parquet::{
    column::page::{CompressedPage, PageWriteSpec, PageWriter},
    errors::Result,
    file::writer::{SerializedPageWriter, TrackedWrite},
};

use crate::sync::lock;

/// Encoded pages of one column, in memory.
pub(super) struct PageBuffer {
    pages: TrackedWrite<SharedBytes>,
}

/// Bytes that the writer of a column adds, and that are taken when it is closed.
#[derive(Clone)]
pub(super) struct SharedBytes {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// The bytes of all columns.
    held: Arc<AtomicUsize>,
}

impl SharedBytes {
    pub(super) fn new(held: Arc<AtomicUsize>) -> Self {
        Self { bytes: Arc::default(), held }
    }

    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.bytes))
    }
}

impl PageBuffer {
    pub(super) fn new(bytes: SharedBytes) -> Self {
        Self { pages: TrackedWrite::new(bytes) }
    }
}

impl PageWriter for PageBuffer {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        SerializedPageWriter::new(&mut self.pages).write_page(page)
    }

    fn close(&mut self) -> Result<()> {
        SerializedPageWriter::new(&mut self.pages).close()
    }
}

impl io::Write for SharedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.bytes).extend_from_slice(bytes);
        self.held.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
