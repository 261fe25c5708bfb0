use std::{pin::pin, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error};

use crate::event::Event;

use super::super::{
    keys::ActiveKeys,
    row::{COLUMNS, Micros, Row, Value},
};

/// How much of a batch is encoded before it is sent, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// How each `COPY` in binary begins: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Microseconds from 1970 to 2000, where Postgres begins to count.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Copies the events into a table that has the columns of `llm_requests`.
pub(super) async fn copy(
    client: &Client,
    table: &str,
    events: &[Arc<Event>],
    active: &ActiveKeys,
) -> Result<(), Error> {
    let statement = format!("COPY {table} ({}) FROM STDIN BINARY", COLUMNS.join(", "));
    let mut sink = pin!(client.copy_in::<_, Bytes>(&statement).await?);
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    chunk.put_slice(HEADER);
    for event in events {
        put_row(&mut chunk, &Row::new(event, active));
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

fn put_row(out: &mut BytesMut, row: &Row<'_>) {
    let values = row.values();
    out.put_i16(i16::try_from(values.len()).unwrap_or(i16::MAX));
    for value in &values {
        put_value(out, value);
    }
}

fn put_value(out: &mut BytesMut, value: &Value<'_>) {
    let put = |out: &mut BytesMut, parts: &[&[u8]]| {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // The server refuses a longer one by itself.
        out.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        parts.iter().for_each(|part| out.put_slice(part));
    };
    match value {
        Value::Null => out.put_i32(-1),
        Value::Id(id) => put(out, &[id.as_bytes()]),
        Value::Time(time) => put(out, &[&since_2000(*time).to_be_bytes()]),
        Value::Bool(is) => put(out, &[&[u8::from(*is)]]),
        Value::Int(number) => put(out, &[&number.to_be_bytes()]),
        Value::BigInt(number) => put(out, &[&number.to_be_bytes()]),
        Value::Money(nano_usd) => put_money(out, *nano_usd),
        Value::Text(text) => put(out, &[text.as_bytes()]),
        // The format's version goes before the text.
        Value::Json(text) => put(out, &[&[1], text.as_bytes()]),
    }
}

fn since_2000(time: Micros) -> i64 {
    time.get() - POSTGRES_EPOCH
}

/// Groups of four decimal digits in an amount: three before the point, three behind it.
const GROUPS: usize = 6;

/// Dollars as a `numeric` with nine decimals, exactly.
fn put_money(out: &mut BytesMut, nano_usd: u64) {
    let mut groups = [0_u16; GROUPS];
    // Twelve decimals are whole groups.
    let mut rest = u128::from(nano_usd) * 1_000;
    for group in groups.iter_mut().rev() {
        *group = u16::try_from(rest % 10_000).unwrap_or_default();
        rest /= 10_000;
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let digits = groups.get(leading..GROUPS - trailing.min(GROUPS - leading)).unwrap_or_default();
    let weight = if digits.is_empty() { 0 } else { 2 - i16::try_from(leading).unwrap_or_default() };
    let count = u16::try_from(digits.len()).unwrap_or_default();
    out.put_i32(8 + 2 * i32::from(count));
    out.put_u16(count);
    out.put_i16(weight);
    // Positive, nine decimals shown.
    out.put_u16(0);
    out.put_u16(9);
    digits.iter().for_each(|group| out.put_u16(*group));
}
