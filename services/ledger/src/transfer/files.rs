//! Files beside a database as rows of pieces: sealed blobs and archives of events, byte by byte as they are.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use super::{Cell, Row, Sink, blocking, tables::Table};
use crate::{LedgerError, Result};

const PIECE: usize = 256 << 10;

/// Gives a file in pieces; false when there is none. An empty file is one empty piece.
pub(super) async fn read(folder: &Path, name: &str, table: &'static Table, sink: &mut dyn Sink) -> Result<bool> {
    let mut file = match File::open(folder.join(name)) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e.into()),
    };
    let mut from = 0_i64;
    loop {
        let (returned, piece) = blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
            Ok((file, piece))
        })
        .await?;
        file = returned;
        let (len, begin) = (piece.len(), from);
        if len > 0 || begin == 0 {
            let row = vec![Cell::Text(name.to_owned()), Cell::Int(begin), Cell::Bytes(piece)];
            sink.rows(table, vec![row]).await?;
        }
        if len < PIECE {
            return Ok(true);
        }
        from += i64::try_from(len).unwrap_or(i64::MAX);
    }
}

/// Names of the files of a folder that `fit`, in order.
pub(super) async fn list(folder: PathBuf, fit: fn(&str) -> bool) -> Result<Vec<String>> {
    blocking(move || {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e.into()),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().to_str().filter(|name| fit(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    })
    .await
}

/// Writes pieces into files, one file after another.
pub(super) struct FileSink {
    /// `None` after a failure.
    writer: Option<Writer>,
    fit: fn(&str) -> bool,
}

impl FileSink {
    pub(super) fn new(folder: PathBuf, fit: fn(&str) -> bool) -> Self {
        Self { writer: Some(Writer { folder, open: None }), fit }
    }

    /// Brings the last file to the disk.
    pub(super) async fn end(&mut self) -> Result<()> {
        match self.writer.take() {
            Some(writer) => blocking(move || writer.end()).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn rows(&mut self, _: &'static Table, rows: Vec<Row>) -> Result<()> {
        let (writer, fit) = (self.writer.take(), self.fit);
        let Some(mut writer) = writer else { return Err(LedgerError::invalid("file", "failed before")) };
        self.writer = Some(blocking(move || writer.rows(&rows, fit).map(|()| writer)).await?);
        Ok(())
    }
}

struct Writer {
    folder: PathBuf,
    /// The file under way, and its bytes so far.
    open: Option<(String, File, u64)>,
}

impl Writer {
    fn rows(&mut self, rows: &[Row], fit: fn(&str) -> bool) -> Result<()> {
        for row in rows {
            let (name, from, piece) = (row[0].text()?, row[1].int()?, row[2].bytes()?);
            if self.open.as_ref().is_none_or(|open| open.0 != name) {
                self.next(name, fit)?;
            }
            if let Some((_, file, len)) = &mut self.open {
                if u64::try_from(from) != Ok(*len) {
                    return Err(LedgerError::corrupt("a piece of a file is missing"));
                }
                file.write_all(piece)?;
                *len += piece.len() as u64;
            }
        }
        Ok(())
    }

    fn next(&mut self, name: &str, fit: fn(&str) -> bool) -> Result<()> {
        if let Some((_, file, _)) = self.open.take() {
            file.sync_all()?;
        }
        // It becomes the name of a file, so it must be nothing but a name.
        if !fit(name) {
            return Err(LedgerError::corrupt("the name of a file"));
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).open(self.folder.join(name))?;
        self.open = Some((name.to_owned(), file, 0));
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        match self.open.take() {
            Some((_, file, _)) => Ok(file.sync_all()?),
            None => Ok(()),
        }
    }
}
