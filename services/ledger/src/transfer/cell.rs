//! Rows in one canonical form, whichever database they come from: the same row has the same bytes, so that counts and
//! hashes of tables compare across backends.
//!
//! A row is the number of its cells and the cells: a tag, then the value, little endian, text and bytes behind their
//! length. In a block each row stands behind its own length.

use sha2::{Digest, Sha256};

use super::tables::{Kind, Table};
use crate::{LedgerError, Result};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of the columns of a [`Table`], in its order.
pub(crate) type Row = Vec<Cell>;

impl Cell {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Int(n) => {
                out.push(1);
                out.extend(n.to_le_bytes());
            }
            Self::Real(value) => {
                out.push(2);
                // SQLite does not keep the sign of a zero.
                let value = if *value == 0.0 { 0.0 } else { *value };
                out.extend(value.to_bits().to_le_bytes());
            }
            Self::Text(text) => put_bytes(out, 3, text.as_bytes()),
            Self::Bytes(bytes) => put_bytes(out, 4, bytes),
        }
    }

    /// Whether a column may hold it.
    fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Null => true,
            Self::Int(n) => kind == Kind::Int || (kind == Kind::Bool && matches!(n, 0 | 1)),
            Self::Real(_) => kind == Kind::Real,
            Self::Text(_) => kind == Kind::Text,
            Self::Bytes(_) => kind == Kind::Bytes,
        }
    }

    pub(crate) fn int(&self) -> Result<i64> {
        match self {
            Self::Int(n) => Ok(*n),
            _ => Err(LedgerError::corrupt("a number is missing")),
        }
    }

    pub(crate) fn text(&self) -> Result<&str> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(LedgerError::corrupt("a text is missing")),
        }
    }

    pub(crate) fn bytes(&self) -> Result<&[u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(LedgerError::corrupt("bytes are missing")),
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    // Rows are bounded far below 4 GiB by the limits of the port.
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a row behind its length.
pub(crate) fn put_row(out: &mut Vec<u8>, row: &[Cell]) {
    let at = out.len();
    out.extend([0; 4]);
    out.push(u8::try_from(row.len()).unwrap_or(u8::MAX));
    for cell in row {
        cell.put(out);
    }
    let len = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

/// Takes bytes off the front; `None` when there are not enough.
pub(crate) fn take<'b>(from: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (head, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(head)
}

/// A little-endian number off the front.
pub(crate) fn take_u32(from: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(from, 4)?.try_into().ok()?))
}

/// A little-endian number off the front.
pub(crate) fn take_u64(from: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(from, 8)?.try_into().ok()?))
}

fn take_sized<'b>(from: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = usize::try_from(take_u32(from)?).ok()?;
    take(from, len)
}

fn take_cell(from: &mut &[u8]) -> Option<Cell> {
    Some(match take(from, 1)?[0] {
        0 => Cell::Null,
        1 => Cell::Int(i64::from_le_bytes(take(from, 8)?.try_into().ok()?)),
        2 => Cell::Real(f64::from_bits(take_u64(from)?)),
        3 => Cell::Text(std::str::from_utf8(take_sized(from)?).ok()?.to_owned()),
        4 => Cell::Bytes(take_sized(from)?.to_vec()),
        _ => return None,
    })
}

/// A row off the front, with the bytes that it is hashed by; `None` when it is none of this table.
pub(crate) fn take_row<'b>(from: &mut &'b [u8], table: &Table) -> Option<(Row, &'b [u8])> {
    let whole = *from;
    let mut row = take_sized(from)?;
    let cells = usize::from(take(&mut row, 1)?[0]);
    if cells != table.columns.len() {
        return None;
    }
    let found = (0..cells).map(|_| take_cell(&mut row)).collect::<Option<Row>>()?;
    let fit = row.is_empty() && found.iter().zip(table.columns).all(|(cell, column)| cell.fits(column.kind));
    fit.then(|| (found, &whole[..whole.len() - from.len()]))
}

/// How many rows a table has, and a hash of all of them in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Name of the table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its rows in their canonical form, by key.
    pub hash: [u8; 32],
}

/// Counts and hashes.
pub(crate) struct Tallying {
    rows: u64,
    hash: Sha256,
}

impl Tallying {
    pub(crate) fn new() -> Self {
        Self { rows: 0, hash: Sha256::new() }
    }

    /// Bytes of one or more rows, as [`put_row`] wrote them.
    pub(crate) fn add(&mut self, rows: u64, bytes: &[u8]) {
        self.rows += rows;
        self.hash.update(bytes);
    }

    pub(crate) fn add_rows(&mut self, rows: &[Row]) {
        let mut bytes = Vec::new();
        rows.iter().for_each(|row| put_row(&mut bytes, row));
        self.add(rows.len() as u64, &bytes);
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn done(self, table: &str) -> Checksum {
        Checksum { table: table.to_owned(), rows: self.rows, hash: self.hash.finalize().into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tables::Column, *};

    const TABLE: Table = Table::new(
        "t",
        &[
            Column::new("a", Kind::Int),
            Column::new("b", Kind::Real),
            Column::new("c", Kind::Text),
            Column::new("d", Kind::Bytes),
            Column::new("e", Kind::Bool),
        ],
        &["a"],
    );

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(
            a: i64, b in prop::num::f64::NORMAL | prop::num::f64::ZERO, c: Option<String>, d: Vec<u8>, e: bool,
        ) {
            let b = if b == 0.0 { 0.0 } else { b };
            let text = c.map_or(Cell::Null, Cell::Text);
            let row = vec![Cell::Int(a), Cell::Real(b), text, Cell::Bytes(d), Cell::Int(e.into())];
            let mut out = Vec::new();
            put_row(&mut out, &row);
            put_row(&mut out, &row);
            let mut from = out.as_slice();
            let (first, bytes) = take_row(&mut from, &TABLE).unwrap();
            prop_assert_eq!(&first, &row);
            prop_assert_eq!(bytes, &out[..out.len() / 2]);
            prop_assert_eq!(take_row(&mut from, &TABLE).unwrap().0, row);
            prop_assert!(from.is_empty() && take_row(&mut from, &TABLE).is_none());
        }

        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let mut from = bytes.as_slice();
            while take_row(&mut from, &TABLE).is_some() {}
        }
    }

    #[test]
    fn a_row_of_another_shape_is_refused() {
        for row in [vec![Cell::Int(1)], vec![Cell::Int(1), Cell::Null, Cell::Int(1), Cell::Null, Cell::Int(0)]] {
            let mut out = Vec::new();
            put_row(&mut out, &row);
            assert!(take_row(&mut out.as_slice(), &TABLE).is_none());
        }
        let mut out = Vec::new();
        put_row(&mut out, &[Cell::Null, Cell::Null, Cell::Null, Cell::Null, Cell::Int(2)]);
        assert!(take_row(&mut out.as_slice(), &TABLE).is_none(), "no truth value");
    }
}
