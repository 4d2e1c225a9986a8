//! Where the cgroup of our own is the root of the hierarchy: what `snat-ctl` attaches to the root is attached there.

use std::{fs::File, marker::PhantomData};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MsFlags, mount, umount},
    sched::{CloneFlags, setns, unshare},
};

use crate::cgroup::Cgroup;

/// While it lives, the calling thread and whatever it starts find no other cgroup2 hierarchy than that of the
/// [`Cgroup`].
#[must_use = "dropping it leaves the cgroup"]
#[derive(Debug)]
pub struct CgroupRoot {
    before: [(File, CloneFlags); 2],
    cgroup: Cgroup,
    /// It is the thread's.
    _thread: PhantomData<*const ()>,
}

impl CgroupRoot {
    /// Moves the process into the cgroup, and the thread into namespaces in which that is the root.
    pub fn enter() -> Result<Self> {
        let cgroup = Cgroup::join()?;
        let now = |name, flag| -> Result<_> {
            let path = format!("/proc/thread-self/ns/{name}");
            Ok((
                File::open(&path).with_context(|| format!("opening {path}"))?,
                flag,
            ))
        };
        let before = [
            now("cgroup", CloneFlags::CLONE_NEWCGROUP)?,
            now("mnt", CloneFlags::CLONE_NEWNS)?,
        ];
        unshare(CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWNS)
            .context("making a mount and a cgroup namespace (unshare)")?;
        let root = Self {
            before,
            cgroup,
            _thread: PhantomData,
        };
        let none = None::<&str>;
        // What others unmount is gone here too; else their network namespaces would live as long as this.
        let slave = MsFlags::MS_SLAVE | MsFlags::MS_REC;
        mount(none, "/", none, slave, none).context("making the mounts slaves")?;
        let point = root.cgroup.path().parent().context("no mount point")?;
        // The same file system is not mounted on itself (`do_add_mount()`).
        umount(point).context("unmounting the hierarchy as others see it")?;
        mount(none, point, Some("cgroup2"), MsFlags::empty(), none)
            .context("mounting a cgroup2 file system")?;
        Ok(root)
    }
}

impl Drop for CgroupRoot {
    fn drop(&mut self) {
        // Threads that this one started share its root directory, and then it can't go (`mntns_install()`).
        let alone = unshare(CloneFlags::CLONE_FS);
        let mut back = self
            .before
            .iter()
            .map(|(namespace, flag)| setns(namespace, *flag));
        if let Err(error) = alone.and_then(|()| back.try_for_each(|done| done)) {
            eprintln!("this thread stays in a namespace of its own: {error}");
        }
    }
}
