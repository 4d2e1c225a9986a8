//! The older `route add`.

use ipnet::IpNet;

use super::{
    ip::{Meaning, plain_route},
    words::{Words, prefix},
};
use crate::eni::Family;

/// Reads the words behind `route`.
///
/// # Errors
///
/// Why it is not understood.
pub(super) fn route(words: &[String]) -> Result<Meaning, String> {
    let mut words = Words::new(words);
    let mut family = Family::Inet;
    while let Some(option) = words.peek().filter(|word| word.starts_with('-')) {
        words.next();
        match option {
            "-n" => {}
            "-6" | "--inet6" => family = Family::Inet6,
            "-A" if words.next() == Some("inet6") => family = Family::Inet6,
            _ => return Err(format!("option {option:?} of route is not understood")),
        }
    }
    match words.next() {
        None => Ok(Meaning::Nothing),
        Some("add") => add(words, family),
        Some(_) => Err("only `route add` is read".to_owned()),
    }
}

fn add(mut words: Words<'_>, family: Family) -> Result<Meaning, String> {
    let to = match words.value("add")? {
        key @ ("-net" | "-host") => words.value(key)?,
        word => word,
    };
    let mut route = plain_route(family.everything());
    let mut mask = None;
    while let Some(word) = words.next() {
        match word {
            "gw" => route.gateway = Some(words.address(word)?),
            "netmask" => mask = Some(words.address(word)?),
            "metric" => route.metric = words.number(word)?,
            "dev" => route.dev = Some(words.value(word)?.to_owned()),
            // The interface may stand alone, as the last word.
            name if words.peek().is_none() => route.dev = Some(name.to_owned()),
            _ => return Err(format!("{word:?} is not understood")),
        }
    }
    let net = prefix(to, Some(family)).ok_or_else(|| format!("{to:?} is no prefix"))?;
    route.destination = match mask {
        None => net,
        Some(mask) => IpNet::with_netmask(net.addr(), mask)
            .map_err(|_| format!("{mask} is no netmask"))?
            .trunc(),
    };
    Ok(Meaning::Route(Box::new(route)))
}
