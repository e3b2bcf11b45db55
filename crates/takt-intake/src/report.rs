//! Takt's own report types: from `data` to a typed report and the id of its subject.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use smol_str::SmolStr;
use takt_domain::fact::Report;
use takt_domain::ids::{
    BoardId, CardId, ChangeId, ColumnName, EnvironmentId, IdError, IncidentId, RunId,
};
use takt_domain::text;

use crate::fact::{Misfit, shown};

/// The refusal of a type under `dev.takt.` that is no report.
pub(crate) fn not_a_fact(kind: &str) -> Misfit {
    Misfit::new(
        format!("not a fact: `{}`", text::shown(kind)),
        "type",
        "send `dev.takt.report.<card|column|change|test|pipeline|deployment|environment|incident>.v1`",
    )
}

/// The report of a type `dev.takt.report.<rest>`, and the id of what it is about.
pub(crate) fn read(kind: &str, rest: &str, data: &Value) -> Result<(Report, SmolStr), Misfit> {
    if !TYPES.contains(&rest) {
        return Err(not_a_fact(kind));
    }
    let Some(fields) = data.as_object() else {
        return Err(Misfit::new(
            format!("`data` is `{}`, not an object", shown(data)),
            "data",
            "send the report as a JSON object in `data`",
        ));
    };
    let entity = |name: &str| SmolStr::new(fields.get(name).and_then(Value::as_str).unwrap_or(""));
    let read = Fields(fields);
    Ok(match rest {
        "card.v1" => (read.card()?, entity("card")),
        "column.v1" => {
            read.id("column", ColumnName::parse)?;
            (Report::Column(read.board()?, read.all()?), entity("column"))
        }
        "change.v1" => {
            read.id("change", ChangeId::parse)?;
            read.each("cards", CardId::parse)?;
            (Report::Change(read.all()?), entity("change"))
        }
        "test.v1" => {
            read.id("run", RunId::parse)?;
            read.filled("commit")?;
            (Report::Test(read.all()?), entity("run"))
        }
        "pipeline.v1" => {
            read.id("run", RunId::parse)?;
            read.filled("pipeline")?;
            (Report::Pipeline(read.all()?), entity("run"))
        }
        "deployment.v1" => {
            read.id("environment", EnvironmentId::parse)?;
            read.filled("deployment")?;
            read.each("changes", ChangeId::parse)?;
            (Report::Deployment(read.all()?), entity("environment"))
        }
        "environment.v1" => {
            read.id("environment", EnvironmentId::parse)?;
            (Report::Environment(read.all()?), entity("environment"))
        }
        "incident.v1" => {
            read.id("incident", IncidentId::parse)?;
            read.id("environment", EnvironmentId::parse)?;
            (Report::Incident(read.all()?), entity("incident"))
        }
        _ => return Err(not_a_fact(kind)),
    })
}

const TYPES: [&str; 8] = [
    "card.v1",
    "column.v1",
    "change.v1",
    "test.v1",
    "pipeline.v1",
    "deployment.v1",
    "environment.v1",
    "incident.v1",
];

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn card(&self) -> Result<Report, Misfit> {
        if let Some((name, value)) =
            self.0.iter().find(|(name, _)| matches!(name.as_str(), "kind" | "kinds"))
        {
            return Err(Misfit::new(
                format!("a card report carries a column's kind, `{}`", shown(value)),
                format!("data.{name}"),
                "send the kind in a `dev.takt.report.column.v1`",
            ));
        }
        self.id("card", CardId::parse)?;
        self.id("column", ColumnName::parse)?;
        Ok(Report::Card(self.board()?, self.all()?))
    }

    fn board(&self) -> Result<BoardId, Misfit> {
        match self.id("board", BoardId::parse)? {
            Some(board) => Ok(board),
            None => Ok(BoardId::main()),
        }
    }

    /// Checks an id where it is given as a text; whether it is needed, `all` knows.
    fn id<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, Misfit> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => checked(value, &format!("data.{name}"), parse).map(Some),
        }
    }

    fn each<T>(&self, name: &str, parse: fn(&str) -> Result<T, IdError>) -> Result<(), Misfit> {
        let values = self.0.get(name).and_then(Value::as_array).map(Vec::as_slice);
        values.unwrap_or_default().iter().enumerate().try_for_each(|(at, value)| {
            checked(value, &format!("data.{name}[{at}]"), parse).map(|_| ())
        })
    }

    fn filled(&self, name: &str) -> Result<(), Misfit> {
        if self.0.get(name).and_then(Value::as_str) == Some("") {
            let place = format!("data.{name}");
            return Err(Misfit::new(format!("`{place}` is empty"), place, "give it a value"));
        }
        Ok(())
    }

    fn all<T: DeserializeOwned>(&self) -> Result<T, Misfit> {
        T::deserialize(self.0).map_err(|error| {
            let message = error.to_string();
            let missing =
                message.strip_prefix("missing field `").and_then(|it| it.split('`').next());
            let place = missing.map(str::to_owned).or_else(|| self.culprit::<T>(&message));
            let value = place.as_ref().and_then(|name| self.0.get(name)).map(shown);
            Misfit::new(
                value.map_or(message.clone(), |value| format!("{message}, got `{value}`")),
                place.map_or("data".to_owned(), |name| format!("data.{name}")),
                if missing.is_some() {
                    "add it"
                } else {
                    "send a value of the type that is asked for"
                },
            )
        })
    }

    /// The field without which the report would be good, else the error would be another one.
    fn culprit<T: DeserializeOwned>(&self, message: &str) -> Option<String> {
        let without = |name: &String| {
            let mut rest = self.0.clone();
            rest.remove(name);
            T::deserialize(&rest).err().map(|error| error.to_string())
        };
        let good = self.0.keys().find(|name| without(name).is_none());
        let other = || self.0.keys().find(|name| without(name).as_deref() != Some(message));
        good.or_else(other).cloned()
    }
}

pub(crate) fn checked<T>(
    value: &Value,
    place: &str,
    parse: fn(&str) -> Result<T, IdError>,
) -> Result<T, Misfit> {
    let Some(text) = value.as_str() else {
        return Err(Misfit::new(
            format!("`{}` is not a text", shown(value)),
            place,
            "send it as a JSON string",
        ));
    };
    parse(text).map_err(|error| {
        let remedy = "send 1 to 512 bytes without control characters or outer blanks";
        Misfit::new(error.to_string(), place, remedy)
    })
}
