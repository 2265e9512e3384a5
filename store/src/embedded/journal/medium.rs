//! A file of the journal, as a seam: tests put failing disks behind it.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

pub(in crate::embedded) trait Medium: Send {
    fn len(&self) -> io::Result<u64>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns once everything written is on stable storage.
    fn sync(&self) -> io::Result<()>;
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// Opens a file of the journal, creating it where there is none.
pub(in crate::embedded) type Opener = Box<dyn Fn(&Path) -> io::Result<Box<dyn Medium>> + Send>;

/// Opens files of the file system.
pub(in crate::embedded) fn files() -> Opener {
    Box::new(open_file)
}

impl Medium for std::fs::File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    #[cfg(not(unix))]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        use std::io::{Seek, SeekFrom, Write};
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

pub(super) fn open_file(path: &Path) -> io::Result<Box<dyn Medium>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    Ok(Box::new(file))
}
