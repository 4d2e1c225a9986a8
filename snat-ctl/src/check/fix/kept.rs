//! The same settings for the next boot: a file of ours under `/etc/sysctl.d`, one per instance.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::Change;
use crate::netns;

const DIR: &str = "/etc/sysctl.d";

/// Keeps the changes beside those that were kept before. Returns the file; `None` in a network namespace that is not
/// the machine's, of which a boot knows nothing.
///
/// # Errors
///
/// When the file can't be read or written; the settings themselves count all the same.
pub fn keep(instance: &str, changes: &[Change]) -> anyhow::Result<Option<PathBuf>> {
    if !netns::is_the_machines() {
        return Ok(None);
    }
    let path = Path::new(DIR).join(format!("90-snat-{instance}.conf"));
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let text = merged(instance, &before, changes);
    let new = path.with_extension("conf.new");
    fs::create_dir_all(DIR)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, &path))
        .with_context(|| {
            let path = path.display();
            format!("the settings are made, and will be gone at the next boot: cannot write {path}")
        })?;
    Ok(Some(path))
}

fn merged(instance: &str, before: &str, changes: &[Change]) -> String {
    let mut lines = BTreeMap::new();
    let mut was = "";
    for line in before.lines() {
        if let Some((setting, _)) = line.split_once(" = ") {
            // What stands above a line that somebody else has added is not of it.
            let was = was.starts_with("# was ").then(|| format!("{was}\n"));
            let was = was.unwrap_or_default();
            lines.insert(setting.to_owned(), format!("{was}{line}"));
        }
        was = line;
    }
    for change in changes {
        let Change { setting, from, to } = change;
        lines.insert(setting.clone(), format!("# was {from}\n{setting} = {to}"));
    }
    let mut text = format!(
        "# What the gateway instance {instance:?} needs: written by `snat-ctl check --fix`.\n\
         # Remove this file to have the machine's own settings again at the next boot.\n"
    );
    for line in lines.values() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Change, merged};

    #[test]
    fn what_was_kept_before_stays_with_what_it_was() {
        let change = |setting: &str, from, to| Change {
            setting: setting.to_owned(),
            from,
            to,
        };
        let first = merged("a", "", &[change("net/ipv4/ip_forward", 0, 1)]);
        assert!(
            first.ends_with("next boot.\n# was 0\nnet/ipv4/ip_forward = 1\n"),
            "{first}"
        );
        let more = change("net/ipv4/conf/eth0/send_redirects", 1, 0);
        let second = merged("a", &first, std::slice::from_ref(&more));
        assert!(
            second.ends_with(
                "next boot.\n# was 1\nnet/ipv4/conf/eth0/send_redirects = 0\n\
                 # was 0\nnet/ipv4/ip_forward = 1\n"
            ),
            "{second}"
        );
        assert_eq!(merged("a", &second, &[more]), second);
    }

    #[test]
    fn lines_that_somebody_added_stay_once_and_as_they_are() {
        let text = merged("a", "net/a = 1\nnet/b = 2\n# a remark\nnet/c = 3\n", &[]);
        assert!(
            text.ends_with("next boot.\nnet/a = 1\nnet/b = 2\nnet/c = 3\n"),
            "{text}"
        );
    }
}
