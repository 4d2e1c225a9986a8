//! Where the root of the cgroup2 hierarchy is mounted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::BalanceError;

const MOUNTS: &str = "/proc/self/mountinfo";

/// The first mount of the whole hierarchy: `/sys/fs/cgroup`, or beside version 1 `/sys/fs/cgroup/unified`.
pub(super) fn root() -> Result<PathBuf, BalanceError> {
    let mounts = fs::read_to_string(MOUNTS).map_err(|source| BalanceError::Read {
        what: MOUNTS.to_owned(),
        source,
    })?;
    find(&mounts).ok_or(BalanceError::NoCgroup)
}

/// Fields before ` - ` are id, parent, device, root, mount point and options, the first behind it is the type
/// (proc_pid_mountinfo(5)).
fn find(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let whole = root == "/" && kind.split(' ').next()? == "cgroup2";
        whole.then(|| Path::new(point).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::find;

    const HYBRID: &str = "\
        30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n\
        31 30 0:27 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,name=systemd\n\
        32 30 0:28 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_hierarchy_is_found_alone_and_beside_version_1() {
        let unified = "26 21 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(find(unified).as_deref(), Some(Path::new("/sys/fs/cgroup")));
        let unified = Path::new("/sys/fs/cgroup/unified");
        assert_eq!(find(HYBRID).as_deref(), Some(unified));
    }

    #[test]
    fn a_part_of_the_hierarchy_is_not_its_root() {
        let part = "40 21 0:23 /machine/one /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(find(part), None);
        assert_eq!(find("21 1 0:20 / /proc rw - proc proc rw\n"), None);
    }
}
