//! Which statement is whose, and what of it is told.

use std::cell::Cell;

use diesel::{ExpressionMethods, QueryDsl, debug_query, pg::Pg};

use super::*;

diesel::table! {
    users (user_id) {
        user_id -> Integer,
        email -> Text,
    }
}

fn text(statement: &Statement) -> Option<String> {
    statement.echo.as_ref().map(|(text, _)| text.clone())
}

#[test]
fn the_text_of_a_type_that_is_known_is_not_made_again() {
    struct Printed<'a>(&'a Cell<usize>);
    impl fmt::Display for Printed<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(self.0.get() + 1);
            out.write_str("SELECT 1 -- binds: [2]")
        }
    }
    let (spans, printed) = (SqlSpans::default().with_echo(true), Cell::new(0));
    for _ in 0..3 {
        spans.next_is(Some(TypeId::of::<Printed<'static>>()));
        spans.state().begin(&Printed(&printed));
        assert_eq!(text(&spans.begun()).as_deref(), Some("SELECT 1"));
    }
    assert_eq!(printed.get(), 1);
    spans.state().begin(&Printed(&printed));
    assert_eq!((text(&spans.begun()).as_deref(), printed.get()), (Some("SELECT 1"), 2), "nobody said of which type");
}

#[test]
fn statements_under_way_at_once_are_each_its_senders() {
    let spans = SqlSpans::default().with_echo(true);
    spans.state().begin(&"SELECT 1");
    let one = spans.begun();
    spans.state().begin(&"SELECT 2");
    let other = spans.begun();
    one.end(None);
    assert_eq!(text(&other).as_deref(), Some("SELECT 2"));
    assert_eq!(text(&spans.begun()), None, "nothing has begun since");
}

#[test]
fn bind_values_stay_out_of_the_text() {
    let query = users::table.filter(users::email.eq("secret@example.com")).select(users::user_id);
    let printed = debug_query::<Pg, _>(&query);
    assert!(printed.to_string().contains("secret@example.com"), "diesel prints binds, so the test can fail");
    let text = statement_text(&printed);
    assert!(text.starts_with("SELECT"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert!(!text.contains("binds"), "{text}");
}
