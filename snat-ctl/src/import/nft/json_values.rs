//! Values of `nft -j` as text.

use serde_json::Value;

/// What of a packet is meant, in nft's words.
pub(super) fn fields(left: &Value) -> Option<Vec<String>> {
    if let Some(all) = left.get("concat") {
        let all = all.as_array()?.iter().map(fields);
        return all.collect::<Option<Vec<_>>>().map(|all| all.concat());
    }
    let of =
        |value: &Value, name: &str| format!("{} {}", word(&value["protocol"]), word(&value[name]));
    let field = if let Some(payload) = left.get("payload") {
        of(payload, "field")
    } else if let Some(meta) = left.get("meta") {
        format!("meta {}", word(&meta["key"]))
    } else if let Some(masked) = left.get("&") {
        // Of flags it is a set of them; of an address it would be another address.
        fields(masked.get(0)?)?
            .pop()
            .filter(|field| field == "tcp flags")?
    } else if left["fib"]["result"] == "type"
        && left["fib"]["flags"] == serde_json::json!(["daddr"])
    {
        "fib daddr type".to_owned()
    } else if left.get("ct").is_some() {
        format!("ct {}", word(&left["ct"]["key"]))
    } else {
        return None;
    };
    Some(vec![field])
}

/// An element without its comment, counter or timeout.
pub(super) fn bare(element: &Value) -> &Value {
    element
        .get("elem")
        .map_or(element, |element| &element["val"])
}

/// A value as text; of a concatenation one for each field.
pub(super) fn columns(value: &Value) -> Option<Vec<String>> {
    if let Some(all) = value.get("concat") {
        let all = all.as_array()?.iter().map(columns);
        return all.collect::<Option<Vec<_>>>().map(|all| all.concat());
    }
    let text = if let Some(prefix) = value.get("prefix") {
        format!("{}/{}", word(&prefix["addr"]), word(&prefix["len"]))
    } else if let Some(range) = value.get("range") {
        format!("{}-{}", word(range.get(0)?), word(range.get(1)?))
    } else if value.is_string() || value.is_number() {
        word(value)
    } else {
        return None;
    };
    Some(vec![text])
}

/// An expression in about nft's words.
pub(super) fn shown(value: &Value) -> String {
    if let Some(columns) = columns(value) {
        return columns.join(" . ");
    }
    if let Some(fields) = fields(value) {
        return fields.join(" . ").replace("meta ", "");
    }
    match value {
        Value::Array(all) => {
            let all: Vec<_> = all.iter().map(shown).collect();
            format!("{{ {} }}", all.join(", "))
        }
        Value::Object(object) => {
            let each = object.iter().map(|(name, value)| match name.as_str() {
                "match" if value["op"] == "!=" => {
                    format!("{} != {}", shown(&value["left"]), shown(&value["right"]))
                }
                "match" => format!("{} {}", shown(&value["left"]), shown(&value["right"])),
                "set" => shown(value),
                "addr" => format!("to {}", shown(value)),
                _ => format!("{name} {}", shown(value)),
            });
            let each: Vec<_> = each.map(|text| text.trim_end().to_owned()).collect();
            each.join(" ")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A string or number as text.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}
