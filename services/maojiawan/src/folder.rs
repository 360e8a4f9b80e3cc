//! The data folder: one process at a time works in it.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// Another process works in the folder.
#[derive(Debug)]
pub(crate) struct InUse(PathBuf);

impl std::fmt::Display for InUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: 数据目录正被另一个进程使用 another process is using the data folder", self.0.display())
    }
}

impl std::error::Error for InUse {}

/// Makes the folder and takes it; it is free again when the process ends, however it ends.
pub(crate) fn take(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let broken = || format!("{}: 数据目录无法使用 the data folder cannot be used", folder.display());
    std::fs::create_dir_all(folder).with_context(broken)?;
    let file = File::options().create(true).write(true).truncate(false).open(&path).with_context(broken)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(InUse(folder.to_owned()).into()),
        Err(TryLockError::Error(error)) => Err(error).with_context(broken),
    }
}

/// As [`take`], of several; one that is named twice, or in two ways, is taken once.
pub(crate) fn take_all(folders: &[&Path]) -> anyhow::Result<Vec<File>> {
    let mut taken = BTreeMap::new();
    for folder in folders {
        // Missing now, so it is not another one's name.
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        if !taken.contains_key(&real) {
            let file = take(folder)?;
            taken.insert(folder.canonicalize().unwrap_or(real), file);
        }
    }
    Ok(taken.into_values().collect())
}
