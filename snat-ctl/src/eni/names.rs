//! Names of our tables and of our protocol number, so that `ip rule` and `ip route` read well.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::PROTOCOL;

/// Where iproute2 looks, distributions' folder last.
const FOLDERS: [&str; 2] = ["/etc/iproute2", "/usr/share/iproute2"];
const TABLES: &str = "/etc/iproute2/rt_tables.d/snat.conf";
const PROTOCOLS: &str = "/etc/iproute2/rt_protos.d/snat.conf";
const HEADER: &str = "# Written by snat-ctl; gone after `snat-ctl eni remove`.\n";

/// Writes both files.
///
/// # Errors
///
/// The failing file operation. Nothing depends on the names.
pub(super) fn write(tables: &BTreeMap<u32, String>) -> io::Result<()> {
    let others = taken(&["rt_tables", "rt_tables.d"]);
    let mut text = HEADER.to_owned();
    for (table, name) in tables {
        let taken = others
            .iter()
            .any(|(number, other)| number == table || other == name);
        if !taken {
            text += &format!("{table}\t{name}\n");
        }
    }
    put(TABLES, &text)?;
    put(PROTOCOLS, &format!("{HEADER}{PROTOCOL}\tsnat-ctl\n"))
}

/// Removes both, and the folders if they are empty then.
///
/// # Errors
///
/// The failing file operation.
pub(super) fn remove() -> io::Result<()> {
    for path in [TABLES, PROTOCOLS].map(Path::new) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
            Ok(()) => {
                // Of a folder that holds anything else this is refused.
                if let Some(folder) = path.parent() {
                    let _ = fs::remove_dir(folder);
                }
            }
        }
    }
    Ok(())
}

/// Names of tables that others have given.
#[must_use]
pub fn table_names() -> BTreeMap<u32, String> {
    taken(&["rt_tables", "rt_tables.d"]).into_iter().collect()
}

/// The name of an interface's table.
pub(super) fn of_table(interface: &str) -> String {
    format!("snat-{interface}")
}

fn put(path: &str, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder)?;
    }
    let new = format!("{path}.new");
    fs::write(&new, text)?;
    fs::rename(new, path)
}

/// Numbers and names that others have given.
fn taken(places: &[&str]) -> Vec<(u32, String)> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in FOLDERS.iter().flat_map(|folder| {
        places
            .iter()
            .map(move |place| Path::new(folder).join(place))
    }) {
        if let Ok(folder) = fs::read_dir(&path) {
            files.extend(folder.flatten().map(|entry| entry.path()));
        } else {
            files.push(path);
        }
    }
    files
        .iter()
        .filter(|path| path.as_path() != Path::new(TABLES))
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| text.lines().filter_map(number_and_name).collect::<Vec<_>>())
        .collect()
}

fn number_and_name(line: &str) -> Option<(u32, String)> {
    let line = line.split('#').next()?;
    let mut words = line.split_whitespace();
    let number = words.next()?;
    let number = match number.strip_prefix("0x") {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((number, words.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::number_and_name;

    #[test]
    fn a_line_of_rt_tables_is_a_number_and_a_name() {
        assert_eq!(
            number_and_name("1001 eth1"),
            Some((1001, "eth1".to_owned()))
        );
        assert_eq!(number_and_name("0x10\tx # y"), Some((16, "x".to_owned())));
        assert_eq!(number_and_name("# 1 x"), None);
        assert_eq!(number_and_name("255"), None);
    }
}
