//! A [`Disk`] as a file system of the machine, so that a real process can write to it.

use crate::disk::{Disk, FOLDER, Loss, Lost, Number, Refusal};
use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, WriteFlags,
};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For how long the kernel may remember what it was told: all changes go through it.
const TTL: Duration = Duration::from_secs(60);
const BLOCK: u32 = 4096;

/// A disk that is mounted. Dropping it unmounts it.
pub struct Mounted {
    disk: Arc<Mutex<Disk>>,
    session: Option<BackgroundSession>,
}

impl Mounted {
    /// # Errors
    /// The machine has no FUSE, or does not let us mount; with what mends it.
    pub fn new(disk: Disk, folder: &Path) -> Result<Mounted> {
        let disk = Arc::new(Mutex::new(disk));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("steadfast-safety".into())];
        let session = fuser::spawn_mount(View(disk.clone()), folder, &config).with_context(|| {
            format!(
                "no file system of our own can be mounted at {}. Power cuts and full disks need FUSE: the device \
                 /dev/fuse (as root: modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN), and for \
                 others than root the program fusermount3 (apt-get install fuse3)",
                folder.display()
            )
        })?;
        Ok(Mounted { disk, session: Some(session) })
    }

    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        locked(&self.disk)
    }

    /// Unmounts, and gives what a power cut would have left. The processes that had files open are gone.
    pub fn after_power_cut(self, loss: Loss, random: &mut fastrand::Rng) -> Result<(Disk, Lost)> {
        let disk = self.disk.clone();
        self.unmount()?;
        let survivors = locked(&disk).after_power_cut(loss, random);
        Ok(survivors)
    }

    pub fn unmount(mut self) -> Result<()> {
        match self.session.take().map(|session| session.umount_and_join()) {
            // The kernel may take the connection away before whoever reads from it sees that there is no disk any more.
            Some(Err(error)) if error.kind() == ErrorKind::ConnectionAborted => Ok(()),
            Some(ended) => ended.context("the disk cannot be unmounted"),
            None => Ok(()),
        }
    }
}

fn locked(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel talks to.
struct View(Arc<Mutex<Disk>>);

impl From<Refusal> for Errno {
    fn from(refusal: Refusal) -> Errno {
        match refusal {
            Refusal::NoSuchFile => Errno::ENOENT,
            Refusal::Exists => Errno::EEXIST,
            Refusal::Full => Errno::ENOSPC,
            Refusal::NoPower => Errno::EIO,
        }
    }
}

fn attributes(number: Number, length: u64) -> FileAttr {
    let folder = number == FOLDER;
    FileAttr {
        ino: INodeNo(number),
        size: length,
        blocks: length.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if folder { FileType::Directory } else { FileType::RegularFile },
        perm: if folder { 0o755 } else { 0o644 },
        nlink: if folder { 2 } else { 1 },
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

impl View {
    fn attributes(&self, number: Number) -> Result<FileAttr, Refusal> {
        let length = if number == FOLDER { 0 } else { locked(&self.0).length(number)? };
        Ok(attributes(number, length))
    }
}

fn done(result: Result<(), Refusal>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(refusal.into()),
    }
}

impl Filesystem for View {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = locked(&self.0).find(name);
        match found.and_then(|number| self.attributes(number)) {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn getattr(&self, _: &Request, file: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(file.0) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        file: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        length: Option<u64>,
        _: Option<fuser::TimeOrNow>,
        _: Option<fuser::TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = length.map_or(Ok(()), |length| locked(&self.0).set_length(file.0, length as usize));
        match changed.and_then(|()| self.attributes(file.0)) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let created = locked(&self.0).create(name);
        match created {
            Ok(number) => {
                reply.created(&TTL, &attributes(number, 0), Generation(0), FileHandle(0), FopenFlags::empty())
            }
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(locked(&self.0).remove(name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        from: &OsStr,
        _: INodeNo,
        to: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        done(locked(&self.0).rename(from, to), reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // What the kernel has of a file it keeps from one open to the next: nobody else writes to the disk.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match locked(&self.0).read(file.0, offset as usize, length as usize) {
            Ok(data) => reply.data(data),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match locked(&self.0).write(file.0, offset as usize, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, file: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(locked(&self.0).sync(file.0), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(locked(&self.0).sync_folder(), reply);
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        for (index, (name, number)) in locked(&self.0).names().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(number), index as u64 + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        /// What a disk without a limit says it has.
        const LARGE: u64 = 1 << 40;
        let disk = locked(&self.0);
        let blocks = disk.capacity().unwrap_or(LARGE) / u64::from(BLOCK);
        let free = blocks.saturating_sub(disk.used().div_ceil(BLOCK.into()));
        reply.statfs(blocks, free, free, LARGE, LARGE, BLOCK, 255, BLOCK);
    }
}
