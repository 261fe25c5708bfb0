//! Parquet files, row group by row group. Encoded pages are held until all columns of a group are complete.

mod column;
mod page_buffer;
mod parquet_encoder;
mod schema;

pub(super) use self::parquet_encoder::ParquetEncoder;
