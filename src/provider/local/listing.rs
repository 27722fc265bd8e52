//! One walk over the folder.

use std::collections::BTreeMap;

use rustix::fs::{AtFlags, FileType, Stat, statat};

use super::folder::{Folder, Found, modified};
use super::names::{self, FileName};
use super::store::Store;
use crate::provider::{Error, Known, Listed, Listing, SecretName};

/// Folders in folders; what is deeper is left out rather than walked for ever.
const DEEPEST: usize = 512;

/// Every secret in the folder. What cannot be served, sub-folders included, is left out with the reason.
pub fn list(store: &Store, folder: &Folder) -> Result<Listing, Error> {
    let mut walk = Walk { store, folder, listing: Listing::default(), pending: Vec::new() };
    walk.directory("")?;
    while let Some(inside) = walk.pending.pop() {
        if let Err(error) = walk.directory(&inside) {
            walk.left_out(inside, error.detail);
        }
    }
    Ok(walk.listing)
}

/// Are there secrets below `name/`? Ends at the first.
pub fn any_below(store: &Store, folder: &Folder, name: &str) -> Known {
    let mut walk = Walk { store, folder, listing: Listing::default(), pending: vec![name.to_owned()] };
    let mut failed = false;
    while let Some(inside) = walk.pending.pop() {
        failed |= walk.directory(&inside).is_err();
        if !walk.listing.secrets.is_empty() {
            return Known::Yes;
        }
    }
    if failed { Known::Unknown } else { Known::No }
}

struct Walk<'a> {
    store: &'a Store,
    folder: &'a Folder,
    listing: Listing,
    /// Sub-folders yet to be read, as paths inside the folder.
    pending: Vec<String>,
}

impl Walk<'_> {
    fn left_out(&mut self, what: String, why: impl Into<String>) {
        self.listing.left_out.push((what, why.into()));
    }

    fn directory(&mut self, parent: &str) -> Result<(), Error> {
        let Some(entries) = self.folder.entries(parent)? else { return Ok(()) };
        let mut by_name: BTreeMap<String, Vec<(String, Stat)>> = BTreeMap::new();
        for (file, kind) in entries {
            if file.starts_with(b".") {
                continue;
            }
            let Ok(file) = String::from_utf8(file) else {
                self.left_out(names::join(parent, "(a name that is not UTF-8)"), "its name is not UTF-8");
                continue;
            };
            let inside = names::join(parent, &file);
            match self.servable(&inside, &file, kind) {
                Ok(Some((name, stat))) => by_name.entry(name).or_default().push((file, stat)),
                Ok(None) => {}
                Err(why) => self.left_out(inside, why),
            }
        }
        for (leaf, mut files) in by_name {
            files.sort_by(|(a, _), (b, _)| FileName::parse(a).cmp(&FileName::parse(b)).then(a.cmp(b)));
            let mut files = files.into_iter();
            let Some((first, stat)) = files.next() else { continue };
            if let Some(name) = SecretName::new(names::join(parent, &leaf)) {
                self.listing.secrets.push(Listed { name, changed: modified(&stat) });
            }
            for (file, _) in files {
                self.left_out(names::join(parent, &file), format!("{first} has the same name and goes before it"));
            }
        }
        Ok(())
    }

    /// The last component of the secret's name and the file's state; None for what is no secret and needs
    /// no mention; the error is why it is left out.
    fn servable(&mut self, inside: &str, file: &str, kind: FileType) -> Result<Option<(String, Stat)>, String> {
        let (kind, stat) = match kind {
            FileType::Directory => (kind, None),
            // Also where the file system does not tell the type in listings.
            _ => match statat(self.folder.root(), inside, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => (FileType::from_raw_mode(stat.st_mode), Some(stat)),
                Err(rustix::io::Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(self.folder.failed(inside, errno).detail),
            },
        };
        let stat = match (kind, stat) {
            (FileType::Directory, _) => {
                if inside.split('/').count() >= DEEPEST {
                    return Err(format!("folders nested more than {DEEPEST} deep"));
                }
                self.pending.push(inside.to_owned());
                return Ok(None);
            }
            (FileType::RegularFile, Some(stat)) => stat,
            (FileType::Symlink, _) => match self.folder.look(inside).map_err(|error| error.detail)? {
                Found::Regular(stat) => stat,
                Found::Directory => return Err("it is a symbolic link to a folder".to_owned()),
                Found::Unusable(why) => return Err(why.to_owned()),
                Found::Absent => return Err("it is a symbolic link that leads nowhere".to_owned()),
            },
            _ => return Err("it is not a regular file".to_owned()),
        };
        let Some(name) = FileName::parse(file) else { return Ok(None) };
        match self.store.judge(self.folder, inside, name.format, name.plaintext) {
            Ok(Ok(())) => Ok(Some((name.leaf.to_owned(), stat))),
            Ok(Err(why)) => Err(why.to_owned()),
            Err(error) => Err(error.detail),
        }
    }
}
