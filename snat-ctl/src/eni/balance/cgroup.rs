//! Where the root of the cgroup2 hierarchy is mounted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::BalanceError;

const MOUNTS: &str = "/proc/self/mountinfo";

/// The last mount of the whole hierarchy that is not hidden by another one: `/sys/fs/cgroup`, or beside version 1
/// `/sys/fs/cgroup/unified`.
pub(super) fn root() -> Result<PathBuf, BalanceError> {
    let mounts = fs::read_to_string(MOUNTS).map_err(|source| BalanceError::Read {
        what: MOUNTS.to_owned(),
        source,
    })?;
    let mut visible = points(&mounts).into_iter().rev();
    visible
        .find(|point| is_cgroup2(point))
        .ok_or(BalanceError::NoCgroup)
}

/// Fields before ` - ` are id, parent, device, root, mount point and options, the first behind it is the type
/// (proc_pid_mountinfo(5)).
fn points(mounts: &str) -> Vec<PathBuf> {
    let whole = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let whole = root == "/" && kind.split(' ').next()? == "cgroup2";
        whole.then(|| Path::new(point).to_owned())
    };
    mounts.lines().filter_map(whole).collect()
}

fn is_cgroup2(point: &Path) -> bool {
    statfs(point).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::points;

    const HYBRID: &str = "\
        30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n\
        31 30 0:27 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,name=systemd\n\
        32 30 0:28 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_hierarchy_is_found_alone_and_beside_version_1() {
        let unified = "26 21 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(points(unified), [Path::new("/sys/fs/cgroup")]);
        let unified = Path::new("/sys/fs/cgroup/unified");
        assert_eq!(points(HYBRID), [unified]);
    }

    #[test]
    fn a_part_of_the_hierarchy_is_not_its_root() {
        let part = "40 21 0:23 /machine/one /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert!(points(part).is_empty());
        assert!(points("21 1 0:20 / /proc rw - proc proc rw\n").is_empty());
    }
}
