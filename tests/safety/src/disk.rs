//! A disk that remembers what was synced: one folder of files in memory. When its power is cut, of what was written since
//! the last sync some is gone: all of it, or some writes, or some sectors; of names that were made, changed or removed,
//! those since the folder's last sync, from some moment on.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// A file's number. 1 is the folder.
pub type Number = u64;
pub const FOLDER: Number = 1;

/// Why the disk does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchFile,
    Exists,
    Full,
    NoPower,
}

/// What is lost of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Everything,
    /// Each write is there or not, whatever came before or after it.
    Writes,
    /// Each sector of each write.
    Sectors,
}

impl Loss {
    pub const ALL: [Loss; 3] = [Loss::Everything, Loss::Writes, Loss::Sectors];
}

/// What a cut has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lost {
    /// Writes and changes of length since the last sync of their file.
    pub unsynced: usize,
    /// Of these, those that did not reach the disk, or not whole.
    pub lost: usize,
    pub names: usize,
}

#[derive(Debug, Default)]
pub struct Disk {
    files: HashMap<Number, Content>,
    names: BTreeMap<OsString, Number>,
    synced_names: BTreeMap<OsString, Number>,
    /// Since the folder was synced.
    renamed: Vec<Naming>,
    last_number: Number,
    /// Bytes of all files together; None: no limit.
    capacity: Option<u64>,
    without_power: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Since the file was synced.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Put(OsString, Number),
    Remove(OsString),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => {
                let end = offset + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
            Change::Length(length) => content.resize(*length, 0),
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<OsString, Number>) {
        match self {
            Naming::Put(name, number) => names.insert(name.clone(), *number),
            Naming::Remove(name) => names.remove(name),
        };
    }
}

impl Disk {
    pub fn new() -> Disk {
        Disk { last_number: FOLDER, ..Disk::default() }
    }

    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> u64 {
        self.files.values().map(|file| file.now.len() as u64).sum()
    }

    pub fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    /// From now on nothing is written any more, and nothing can be synced.
    pub fn power_off(&mut self) {
        self.without_power = true;
    }

    /// What is found when the power is back.
    pub fn after_power_cut(&self, loss: Loss, random: &mut fastrand::Rng) -> (Disk, Lost) {
        let mut lost = Lost::default();
        let kept = if loss == Loss::Everything { 0 } else { random.usize(0..=self.renamed.len()) };
        lost.names = self.renamed.len() - kept;
        let mut names = self.synced_names.clone();
        self.renamed[..kept].iter().for_each(|naming| naming.apply(&mut names));
        let mut files = HashMap::new();
        for number in names.values() {
            let file = &self.files[number];
            let mut content = file.synced.clone();
            for change in &file.changes {
                lost.unsynced += 1;
                if !survive(change, loss, random, &mut content) {
                    lost.lost += 1;
                }
            }
            files.insert(*number, Content { now: content.clone(), synced: content, changes: Vec::new() });
        }
        let disk = Disk {
            files,
            synced_names: names.clone(),
            names,
            last_number: self.last_number,
            ..Disk::default()
        };
        (disk, lost)
    }

    pub fn names(&self) -> impl Iterator<Item = (&OsStr, Number)> {
        self.names.iter().map(|(name, number)| (name.as_os_str(), *number))
    }

    pub fn find(&self, name: &OsStr) -> Result<Number, Refusal> {
        self.names.get(name).copied().ok_or(Refusal::NoSuchFile)
    }

    pub fn length(&self, file: Number) -> Result<u64, Refusal> {
        Ok(self.files.get(&file).ok_or(Refusal::NoSuchFile)?.now.len() as u64)
    }

    pub fn create(&mut self, name: &OsStr) -> Result<Number, Refusal> {
        self.has_power()?;
        if self.names.contains_key(name) {
            return Err(Refusal::Exists);
        }
        self.last_number += 1;
        self.files.insert(self.last_number, Content::default());
        self.rename_to(Naming::Put(name.to_owned(), self.last_number));
        Ok(self.last_number)
    }

    pub fn remove(&mut self, name: &OsStr) -> Result<(), Refusal> {
        self.has_power()?;
        self.find(name)?;
        self.rename_to(Naming::Remove(name.to_owned()));
        Ok(())
    }

    pub fn rename(&mut self, from: &OsStr, to: &OsStr) -> Result<(), Refusal> {
        self.has_power()?;
        let number = self.find(from)?;
        self.rename_to(Naming::Put(to.to_owned(), number));
        self.rename_to(Naming::Remove(from.to_owned()));
        Ok(())
    }

    fn rename_to(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.renamed.push(naming);
    }

    pub fn read(&self, file: Number, offset: usize, length: usize) -> Result<&[u8], Refusal> {
        let content = &self.files.get(&file).ok_or(Refusal::NoSuchFile)?.now;
        let begin = offset.min(content.len());
        Ok(&content[begin..content.len().min(offset.saturating_add(length))])
    }

    pub fn write(&mut self, file: Number, offset: usize, data: &[u8]) -> Result<(), Refusal> {
        self.change(file, Change::Write { offset, data: data.to_vec() }, offset + data.len())
    }

    /// Makes a file shorter, or longer by zeros.
    pub fn set_length(&mut self, file: Number, length: usize) -> Result<(), Refusal> {
        self.change(file, Change::Length(length), length)
    }

    fn change(&mut self, file: Number, change: Change, end: usize) -> Result<(), Refusal> {
        self.has_power()?;
        let used = self.used();
        let capacity = self.capacity;
        let content = self.files.get_mut(&file).ok_or(Refusal::NoSuchFile)?;
        let more = end.saturating_sub(content.now.len()) as u64;
        if more > 0 && capacity.is_some_and(|capacity| used + more > capacity) {
            return Err(Refusal::Full);
        }
        change.apply(&mut content.now);
        content.changes.push(change);
        Ok(())
    }

    pub fn sync(&mut self, file: Number) -> Result<(), Refusal> {
        self.has_power()?;
        let content = self.files.get_mut(&file).ok_or(Refusal::NoSuchFile)?;
        for change in std::mem::take(&mut content.changes) {
            change.apply(&mut content.synced);
        }
        Ok(())
    }

    pub fn sync_folder(&mut self) -> Result<(), Refusal> {
        self.has_power()?;
        for naming in std::mem::take(&mut self.renamed) {
            naming.apply(&mut self.synced_names);
        }
        Ok(())
    }

    fn has_power(&self) -> Result<(), Refusal> {
        if self.without_power { Err(Refusal::NoPower) } else { Ok(()) }
    }
}

/// Does with a change what the loss leaves of it; whether that is all of it.
fn survive(change: &Change, loss: Loss, random: &mut fastrand::Rng, content: &mut Vec<u8>) -> bool {
    match (loss, change) {
        (Loss::Everything, _) => false,
        (Loss::Sectors, Change::Write { offset, data }) => {
            let mut whole = true;
            let mut begin = 0;
            while begin < data.len() {
                // Sectors of the file, not of the write.
                let end = data.len().min((offset + begin) / SECTOR * SECTOR + SECTOR - offset);
                if random.bool() {
                    let part = Change::Write { offset: offset + begin, data: data[begin..end].to_vec() };
                    part.apply(content);
                } else {
                    whole = false;
                }
                begin = end;
            }
            whole
        }
        _ => {
            let survives = random.bool();
            if survives {
                change.apply(content);
            }
            survives
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn what_was_synced_survives_and_what_was_not_is_lost() {
        let mut disk = Disk::new();
        let file = disk.create(name("a")).expect("there is room");
        disk.write(file, 0, b"synced").expect("there is room");
        disk.sync(file).expect("there is power");
        disk.sync_folder().expect("there is power");
        disk.write(file, 0, b"unsyn").expect("there is room");
        disk.create(name("b")).expect("there is room");
        disk.rename(name("a"), name("c")).expect("it is there");
        let (after, lost) = disk.after_power_cut(Loss::Everything, &mut fastrand::Rng::with_seed(1));
        assert_eq!(after.names().map(|(name, _)| name).collect::<Vec<_>>(), [name("a")]);
        assert_eq!(after.read(file, 0, 100), Ok(&b"synced"[..]));
        assert_eq!((lost.unsynced, lost.lost, lost.names), (1, 1, 3));
        assert_eq!(disk.read(file, 0, 100), Ok(&b"unsynd"[..]));
    }

    #[test]
    fn a_synced_file_without_a_synced_name_is_not_found() {
        let mut disk = Disk::new();
        let file = disk.create(name("a")).expect("there is room");
        disk.write(file, 0, b"synced").expect("there is room");
        disk.sync(file).expect("there is power");
        let (after, _) = disk.after_power_cut(Loss::Everything, &mut fastrand::Rng::with_seed(1));
        assert_eq!(after.names().count(), 0);
    }

    #[test]
    fn sectors_are_torn_at_their_borders() {
        let mut disk = Disk::new();
        let file = disk.create(name("a")).expect("there is room");
        disk.sync_folder().expect("there is power");
        disk.write(file, 100, &[1; 4000]).expect("there is room");
        let mut torn = 0;
        for seed in 0..100 {
            let (after, lost) = disk.after_power_cut(Loss::Sectors, &mut fastrand::Rng::with_seed(seed));
            let content = after.read(file, 0, 10_000).expect("it is there");
            torn += lost.lost;
            for (sector, bytes) in content.chunks(SECTOR).enumerate() {
                let written = if sector == 0 { &bytes[100..] } else { bytes };
                assert!(written.iter().all(|byte| *byte == written[0]), "sector {sector} is whole or absent");
            }
        }
        assert!(torn > 90);
    }

    #[test]
    fn a_full_disk_takes_what_needs_no_room() {
        let mut disk = Disk::new();
        disk.set_capacity(Some(10));
        let file = disk.create(name("a")).expect("there is room");
        disk.write(file, 0, &[1; 10]).expect("there is room");
        assert_eq!(disk.write(file, 5, &[2; 6]), Err(Refusal::Full));
        disk.write(file, 5, &[2; 5]).expect("it is there already");
        disk.set_length(file, 4).expect("shorter needs no room");
        disk.write(file, 4, &[2; 6]).expect("there is room again");
        disk.power_off();
        assert_eq!(disk.sync(file), Err(Refusal::NoPower));
        assert_eq!(disk.write(file, 0, &[1]), Err(Refusal::NoPower));
    }
}
