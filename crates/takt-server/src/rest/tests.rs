//! What the description says is there, and what is there is described.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// Beside the table: what operators ask for.
const OPERATORS: [&str; 3] = ["GET /healthz", "GET /readyz", "GET /metrics"];

fn described() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

#[test]
fn each_route_is_described_and_nothing_else_is() {
    let document = described();
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys().filter(|it| *it != "parameters");
        methods.map(|it| format!("{} {path}", it.to_uppercase())).collect::<Vec<_>>()
    };
    let described: BTreeSet<String> = paths.iter().flat_map(methods).collect();
    let served = ROUTES.iter().map(|route| route.name).chain(OPERATORS);
    assert_eq!(described, served.map(str::to_owned).collect());
}

#[test]
fn each_reference_of_the_description_leads_somewhere() {
    fn follow(document: &Value, value: &Value, found: &mut usize) {
        if let Some(place) = value.get("$ref").and_then(Value::as_str) {
            let place = place.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "`{place}` is not there");
            *found += 1;
        }
        match value {
            Value::Object(members) => members.values().for_each(|it| follow(document, it, found)),
            Value::Array(items) => items.iter().for_each(|it| follow(document, it, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let (document, mut found) = (described(), 0);
    follow(&document, &document, &mut found);
    assert!(found > 10, "only {found}");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}
