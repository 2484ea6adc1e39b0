//! Between columns and values. Columns have signed integers only; what does not fit is not ours.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::metastore::error::{MetastoreError, Result};
use crate::model::object::ObjectKey;

/// An unsigned number as a column; numbers beyond 2⁶³−1 do not occur (they would be bytes or seconds).
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count as a column.
pub(super) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The place of an element, counted from 1 as SQL does.
pub(super) fn place(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX - 1).saturating_add(1)
}

/// A column as an unsigned number.
pub(super) fn unsigned<T: TryFrom<i64>>(number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| MetastoreError::Unreadable(format!("{number} is out of range for its column")))
}

/// A column of a row.
pub(super) fn column<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|error| MetastoreError::Unreadable(error.to_string()))
}

/// A column as an unsigned number.
pub(super) fn unsigned_column<T: TryFrom<i64>>(row: &Row, index: usize) -> Result<T> {
    unsigned(column::<i64>(row, index)?)
}

/// The only row of an answer that always has one.
pub(super) fn only(rows: &[Row]) -> Result<&Row> {
    rows.first().ok_or_else(|| MetastoreError::Unreadable("the database answered without a row".to_owned()))
}

/// Keys as a column of text.
pub(super) fn key_texts(keys: &[ObjectKey]) -> Vec<&str> {
    keys.iter().map(ObjectKey::as_str).collect()
}
