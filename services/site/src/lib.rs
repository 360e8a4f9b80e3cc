//! The site as a folder of files: TOML for what is nested, CSV for what is a table, GeoJSON for what is drawn.
//!
//! Invariants: what [`write()`] makes, [`read()`] gives back bit for bit; the same site makes the same bytes; a folder with
//! one fault gives nothing but all its faults. File sizes, rows and faults are bounded. Blocking file access; nothing
//! else of the world.

mod built_in;
mod checks;
mod compare;
mod fault;
mod files;
mod nested;
mod plan;
mod sheet;
mod tables;

#[cfg(test)]
mod tests;

use std::{fs, io, path::Path};

use domain::site::Site;

pub use self::{
    built_in::built_in,
    compare::{Change, changes},
    fault::{Fault, Faults},
};

/// Reads the site of a folder.
///
/// # Errors
/// Everything that is wrong with it, each with file, line and column.
pub fn read(folder: &Path) -> Result<Site, Faults> {
    let desk = fault::Desk::default();
    let texts = files::Texts::read(folder, &desk);
    let site = tables::read(&desk, &texts);
    desk.finish(site)
}

/// Why a site was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file cannot be written.
    #[error("{file}: 无法写入 cannot be written")]
    Io {
        /// The file or folder.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its files would be refused when they are read, so none was written.
    #[error("此现场无法写成文件 this site cannot be kept in files")]
    Refused(#[source] Faults),
    /// Its files would be read as another site, so none was written: a name begins or ends with a space.
    #[error(
        "此现场写成文件后会有出入：名称首尾有空格？ files would not hold this site as it is: a name with a space at its end?"
    )]
    Different,
}

/// Writes a site into a folder, which is made if it is missing. Files of the same names are replaced, one after the other.
///
/// # Errors
/// See [`WriteError`]; a site that its files cannot hold leaves the folder as it was.
pub fn write(site: &Site, folder: &Path) -> Result<(), WriteError> {
    let files = tables::write(site);
    let desk = fault::Desk::default();
    let again = tables::read(&desk, &files::Texts::owned(files.clone()));
    let again = desk.finish(again).map_err(WriteError::Refused)?;
    if again != *site {
        return Err(WriteError::Different);
    }
    let failed = |path: &Path| {
        let file = path.display().to_string();
        move |source| WriteError::Io { file, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    for (name, text) in files {
        let path = folder.join(name);
        let beside = folder.join(format!(".{name}.new"));
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path)).map_err(failed(&path))?;
    }
    Ok(())
}
