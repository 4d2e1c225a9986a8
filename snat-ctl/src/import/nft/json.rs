//! `nft -j list ruleset`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Nat, Statement, To, base, cases,
    json_values::{bare, columns, fields, shown, word},
    verdict,
};
use crate::{
    config::MssClamp,
    import::model::{Action, Chain, Rule, Ruleset, Said},
};

/// Reads it.
///
/// # Errors
///
/// What is wrong with it, if it is not what `nft -j` prints.
pub(in crate::import) fn read(text: &str) -> Result<Ruleset, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let objects = json["nftables"].as_array();
    let objects = objects.ok_or_else(|| "no list \"nftables\" in it".to_owned())?;
    Ok(understand(objects))
}

fn understand(objects: &[Value]) -> Ruleset {
    let of = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let sets: Sets = of("set")
        .chain(of("map"))
        .map(|set| ((table(set), word(&set["name"])), set["elem"].clone()))
        .collect();
    let mut ruleset = Ruleset::default();
    ruleset.chains.extend(of("chain").map(chain));
    for rule in of("rule") {
        let (table, name) = (table(rule), word(&rule["chain"]));
        let read = self::rule(rule, &table, &name, &sets);
        let known = ruleset
            .chains
            .iter_mut()
            .find(|chain| chain.table == table && chain.name == name);
        match known {
            Some(chain) => chain.rules.push(read),
            None => ruleset.unread.push(read.said),
        }
    }
    ruleset
}

/// Elements of named sets and maps, by table and name.
type Sets = BTreeMap<(String, String), Value>;

fn chain(chain: &Value) -> Chain {
    let hook = chain["hook"].as_str();
    Chain {
        table: table(chain),
        name: word(&chain["name"]),
        ipv6: chain["family"] == "ip6",
        base: hook.map(|hook| {
            let priority = chain["prio"].as_i64().unwrap_or_default();
            base(
                &word(&chain["type"]),
                hook,
                priority,
                &word(&chain["policy"]),
            )
        }),
        rules: Vec::new(),
    }
}

fn rule(rule: &Value, table: &str, chain: &str, sets: &Sets) -> Rule {
    let reader = Reader { table, sets };
    let expressions = rule["expr"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let statements = expressions
        .iter()
        .map(|one| reader.statement(one))
        .collect();
    let text: Vec<_> = expressions.iter().map(shown).collect();
    let at = format!("{table} {chain} handle {}", word(&rule["handle"]));
    Rule {
        said: Said {
            line: None,
            at,
            text: text.join(" "),
        },
        cases: cases(statements),
    }
}

struct Reader<'a> {
    table: &'a str,
    sets: &'a Sets,
}

impl Reader<'_> {
    fn statement(&self, statement: &Value) -> Statement {
        let entry = statement
            .as_object()
            .and_then(|object| object.iter().next());
        let Some((name, value)) = entry else {
            return Statement::Other(statement.to_string());
        };
        let read = match name.as_str() {
            "match" => self.matched(value),
            "counter" | "comment" => Some(Statement::Idle),
            "log" => Some(Statement::Log),
            "vmap" => self.verdicts(value),
            "masquerade" | "snat" | "dnat" => self.nat(name, value).map(Statement::Nat),
            "mangle" => maxseg(value),
            "xt" if value["type"] == "match" => None,
            "xt" => Some(Statement::Verdict(Action::Other(word(&value["name"])))),
            _ => verdict(name, &word(&value["target"])).map(Statement::Verdict),
        };
        let other = || {
            let words = shown(statement);
            match name.as_str() {
                "masquerade" | "snat" | "dnat" | "redirect" | "tproxy" | "reject" => {
                    Statement::Verdict(Action::Other(words))
                }
                _ => Statement::Other(words),
            }
        };
        read.unwrap_or_else(other)
    }

    fn matched(&self, value: &Value) -> Option<Statement> {
        let not = match value["op"].as_str()? {
            "==" | "in" => false,
            "!=" => true,
            _ => return None,
        };
        let fields = fields(&value["left"])?;
        // The SYN that a clamp of the MSS is for, and that begins every connection that NAT sees.
        if fields == ["tcp flags"] {
            return (!not && value["right"] == "syn").then_some(Statement::Idle);
        }
        let values = self.elements(&value["right"])?;
        let values = values.iter().map(columns).collect::<Option<_>>()?;
        Some(Statement::Match {
            fields,
            not,
            values,
        })
    }

    /// The elements of a set, named or not, or the one value.
    fn elements(&self, value: &Value) -> Option<Vec<Value>> {
        let named = value.as_str().and_then(|text| text.strip_prefix('@'));
        let list = match named {
            Some(name) => self.sets.get(&(self.table.to_owned(), name.to_owned()))?,
            None => value.get("set").unwrap_or(value),
        };
        match list {
            // A set that is empty.
            Value::Null => Some(Vec::new()),
            Value::Array(all) => Some(all.iter().map(|one| bare(one).clone()).collect()),
            one => Some(vec![one.clone()]),
        }
    }

    fn pairs(&self, map: &Value) -> Option<Vec<(Vec<String>, Value)>> {
        let pair = |element: &Value| match element.as_array().map(Vec::as_slice) {
            Some([key, value]) => Some((columns(bare(key))?, value.clone())),
            _ => None,
        };
        self.elements(&map["data"])?.iter().map(pair).collect()
    }

    fn verdicts(&self, map: &Value) -> Option<Statement> {
        let pairs = self.pairs(map)?.into_iter();
        let verdict = |(key, value): (Vec<String>, Value)| {
            let (name, of) = value.as_object()?.iter().next()?;
            Some((key, verdict(name, &word(&of["target"]))?))
        };
        Some(Statement::Verdicts {
            fields: fields(&map["key"])?,
            elements: pairs.map(verdict).collect::<Option<_>>()?,
        })
    }

    fn nat(&self, kind: &str, value: &Value) -> Option<Nat> {
        if value.get("type_flags").is_some() {
            return None;
        }
        let ports = match value.get("port") {
            Some(port) => Some(columns(port)?.pop()?),
            None => None,
        };
        let to = match value.get("addr") {
            None => To::Own,
            Some(addr) => match addr.get("map") {
                Some(map) => self.mapped(map)?,
                None => To::Addr(columns(addr)?.pop()?),
            },
        };
        Some(Nat {
            kind: kind.to_owned(),
            to,
            ports,
        })
    }

    fn mapped(&self, map: &Value) -> Option<To> {
        let pairs = self.pairs(map)?.into_iter();
        let elements = pairs.map(|(key, value)| Some((key, columns(&value)?)));
        let elements = elements.collect::<Option<Vec<_>>>()?;
        let key = &map["key"];
        if key.get("numgen").is_some() || key.get("jhash").is_some() || key.get("symhash").is_some()
        {
            let addrs = elements
                .into_iter()
                .map(|(_, mut value)| (value.len() == 1).then(|| value.pop()).flatten());
            return addrs.collect::<Option<_>>().map(To::Any);
        }
        Some(To::Map {
            fields: fields(key)?,
            elements,
        })
    }
}

fn maxseg(mangle: &Value) -> Option<Statement> {
    if mangle["key"]["tcp option"]["name"] != "maxseg" {
        return None;
    }
    let value = &mangle["value"];
    let mss = match value.as_u64() {
        Some(mss) => MssClamp::To(u16::try_from(mss).ok()?),
        None if value["rt"]["key"] == "mtu" => MssClamp::Auto,
        None => return None,
    };
    Some(Statement::Mss(mss))
}

fn table(object: &Value) -> String {
    format!("{} {}", word(&object["family"]), word(&object["table"]))
}
