use std::{pin::pin, sync::LazyLock, time::SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error};

use crate::{
    row::{EventRow, Value},
    time::micros_since_1970,
};

use super::super::schema_sql::stored_columns;

/// The size of the chunks that are sent, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// The start of each binary `COPY`: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Microseconds from 1970 to 2000, which is the epoch of Postgres.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// The version of binary `jsonb`, which precedes the text.
const JSONB_VERSION: u8 = 1;

static COPY: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<_> = stored_columns().map(|column| column.name).collect();
    format!("COPY tagging_events ({}) FROM STDIN BINARY", columns.join(", "))
});

/// Copies rows into the table.
pub(super) async fn copy(client: &Client, rows: impl Iterator<Item = &EventRow>) -> Result<(), Error> {
    let mut sink = pin!(client.copy_in::<_, Bytes>(COPY.as_str()).await?);
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    chunk.put_slice(HEADER);
    for row in rows {
        put_row(&mut chunk, row);
        if chunk.len() >= CHUNK_BYTES {
            sink.feed(chunk.split().freeze()).await?;
            chunk.reserve(CHUNK_BYTES + CHUNK_BYTES / 4);
        }
    }
    chunk.put_i16(-1);
    sink.feed(chunk.freeze()).await?;
    sink.finish().await?;
    Ok(())
}

fn put_row(out: &mut BytesMut, row: &EventRow) {
    let values = row.values();
    out.put_i16(i16::try_from(values.len()).unwrap_or(i16::MAX));
    for value in &values {
        put_value(out, value);
    }
}

fn put_value(out: &mut BytesMut, value: &Value<'_>) {
    match value {
        Value::Null => out.put_i32(-1),
        Value::Uuid(id) => put_bytes(out, &[id.as_bytes()]),
        Value::Time(time) => put_bytes(out, &[&micros_since_2000(*time).to_be_bytes()]),
        Value::Boolean(is_set) => put_bytes(out, &[&[u8::from(*is_set)]]),
        Value::Integer(number) => put_bytes(out, &[&number.to_be_bytes()]),
        Value::BigInt(number) => put_bytes(out, &[&number.to_be_bytes()]),
        Value::Text(text) => put_bytes(out, &[text.as_bytes()]),
        Value::Json(text) => put_bytes(out, &[&[JSONB_VERSION], text.as_bytes()]),
    }
}

fn put_bytes(out: &mut BytesMut, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // The server refuses a longer value.
    out.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
    parts.iter().for_each(|part| out.put_slice(part));
}

fn micros_since_2000(time: SystemTime) -> i64 {
    // A stored time has less than 2^58 microseconds.
    i64::try_from(micros_since_1970(time)).unwrap_or(i64::MAX) - POSTGRES_EPOCH
}
