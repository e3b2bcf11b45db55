//! The stream's rules as sentences.

use super::*;
use crate::rejection::Rejection;

fn made() -> State {
    evolve(State::default(), &Event::Created(Created { title: "Shop".into() }))
}

fn create(title: &str) -> Command {
    Command::Create { name: "shop".into(), title: title.into() }
}

#[test]
fn a_stream_is_made_once() {
    let first = decide(&State::default(), create("Shop")).unwrap();
    assert_eq!(first, vec![Event::Created(Created { title: "Shop".into() })]);
    assert_eq!(decide(&made(), create("Shop")), Ok(vec![]));
}

#[test]
fn a_name_that_is_taken_is_refused_with_the_title_that_has_it() {
    let rejection = decide(&made(), create("Bakery")).unwrap_err();
    assert!(rejection.to_string().contains("`Shop`"), "{rejection}");
}

#[test]
fn a_name_that_begins_with_a_dollar_sign_is_not_made_and_one_in_history_stays() {
    for name in ["$sys", "$", "$shop"] {
        let create = Command::Create { name: name.into(), title: "Shop".into() };
        let rejection = decide(&State::default(), create.clone()).unwrap_err();
        assert!(matches!(rejection, Rejection::Invalid { field: "stream", .. }), "{rejection:?}");
        assert!(rejection.to_string().contains(&format!("`{name}`")), "{rejection}");
        assert_eq!(decide(&made(), create), Ok(vec![]));
    }
    let create = Command::Create { name: "a$b".into(), title: "Shop".into() };
    assert_eq!(decide(&State::default(), create).unwrap().len(), 1);
}

#[test]
fn a_policy_that_is_in_force_already_is_no_event() {
    assert_eq!(decide(&made(), Command::SetPolicy(Policy::default())), Ok(vec![]));
}

#[test]
fn a_negative_time_in_a_policy_names_its_field() {
    let policy = Policy { escalate_after: Span::from_secs(-1), ..Policy::default() };
    let rejection = decide(&made(), Command::SetPolicy(policy)).unwrap_err();
    assert!(rejection.to_string().starts_with("policy.escalate_after"), "{rejection}");
}
