use serde_json::json;

use super::*;
use crate::{
    trace::{Kind, Span},
    verify::Contract,
};

const CONTRACT: &str = "
name: batch
clock_tolerance_ms: 0.5
nodes:
  - { id: door, service: gateway, kind: server }
  - { id: first, service: gateway, kind: client, name: GET }
  - { id: inner, service: gateway, kind: internal, count: 0..1 }
  - { id: second, service: gateway, kind: client, name: GET }
  - { id: sent, service: gateway, kind: producer }
  - { id: batch, service: gateway, kind: consumer, count: 1..2 }
edges:
  - { from: caller, to: door }
  - { from: door, to: first }
  - { from: door, to: inner }
  - { from: inner, to: second }
  - { from: door, to: sent }
  - { from: sent, to: batch, by: either }
";

fn graph() -> Graph {
    Contract::parse(CONTRACT, "test").unwrap().graph(None).unwrap()
}

fn span(id: &str, parent: Option<&str>, kind: Kind, name: &str) -> Span {
    Span { parent: parent.map(str::to_owned), kind, name: name.to_owned(), ..Span::example(id, &[]) }
}

fn linked(mut span: Span, to: &str) -> Span {
    span.links.push(crate::trace::model::Link { trace: "t".to_owned(), span: to.to_owned() });
    span
}

/// The mandatory spans, the batch tied by a link.
fn whole() -> Vec<Span> {
    vec![
        span("1", Some("c"), Kind::Server, "door"),
        span("2", Some("1"), Kind::Client, "GET"),
        span("3", Some("1"), Kind::Producer, "send"),
        linked(span("4", None, Kind::Consumer, "receive"), "3"),
    ]
}

fn defects(spans: Vec<Span>, caller: Caller<'_>) -> Vec<String> {
    let verdict = check(&Trace::new("t".to_owned(), spans), &graph(), caller);
    verdict.defects.iter().map(ToString::to_string).collect()
}

#[test]
fn a_consumer_may_be_tied_by_a_link_and_is_no_second_root() {
    assert_eq!(defects(whole(), Caller::Known("c")), Vec::<String>::new());
    let mut child = whole();
    child[3] = span("4", Some("3"), Kind::Consumer, "receive");
    assert_eq!(defects(child, Caller::Known("c")), Vec::<String>::new());
    let mut loose = whole();
    loose[3] = linked(span("4", None, Kind::Consumer, "receive"), "2");
    assert_eq!(defects(loose, Caller::Known("c")), ["wrong parent: batch: under nothing: it is a root instead of sent"]);
}

#[test]
fn what_hangs_under_an_optional_span_is_due_only_with_it() {
    let mut more = whole();
    more.push(span("5", Some("1"), Kind::Internal, "inner"));
    assert_eq!(defects(more.clone(), Caller::Known("c")), ["missing span: inner → second (gateway client): 0 of 1"]);
    // alike but for its parent
    more.push(span("6", Some("5"), Kind::Client, "GET"));
    let trace = Trace::new("t".to_owned(), more);
    let verdict = check(&trace, &graph(), Caller::Known("c"));
    assert!(verdict.complete(), "{:?}", verdict.defects);
    assert_eq!((verdict.nodes["2"], verdict.nodes["6"]), (1, 3));
}

#[test]
fn a_known_caller_is_the_only_one() {
    assert_eq!(defects(whole(), Caller::Unknown), Vec::<String>::new());
    assert_eq!(defects(whole(), Caller::Known("other")), ["orphan: door: its parent c is not in the trace"]);
    let mut root = whole();
    root[0].parent = None;
    assert_eq!(defects(root.clone(), Caller::Unknown), Vec::<String>::new());
    assert_eq!(defects(root, Caller::Known("c")), ["wrong parent: door: under nothing: it is a root instead of caller"]);
}

#[test]
fn clocks_may_differ_by_the_tolerance() {
    let mut early = whole();
    early[1].start_us -= 500;
    assert_eq!(defects(early.clone(), Caller::Known("c")), Vec::<String>::new());
    early[1].start_us -= 1;
    let found = defects(early, Caller::Known("c"));
    assert_eq!(found, ["clock disorder: first starts 501 µs before its parent gateway server \"door\""]);
}

#[test]
fn a_span_above_its_count_is_one_too_many() {
    let mut thrice = whole();
    thrice.extend(["5", "6"].map(|id| span(id, Some("3"), Kind::Consumer, "receive")));
    assert_eq!(defects(thrice, Caller::Known("c")), ["surplus span: gateway consumer \"receive\" is more than the 2 of batch"]);
}

#[test]
fn parents_in_a_circle_end_the_check_with_orphans_of_nobody() {
    let circle = vec![span("1", Some("2"), Kind::Server, "door"), span("2", Some("1"), Kind::Client, "GET")];
    let found = defects(circle, Caller::Unknown);
    assert!(found.contains(&"wrong parent: door: under first instead of caller".to_owned()), "{found:#?}");
}

#[test]
fn only_what_may_still_come_is_worth_waiting_for() {
    let verdict = |spans: Vec<Span>| check(&Trace::new("t".to_owned(), spans), &graph(), Caller::Known("c"));
    assert!(verdict(Vec::new()).may_heal());
    let mut late = whole();
    late.remove(0);
    assert!(verdict(late).may_heal());
    let mut wrong = whole();
    wrong[1].parent = Some("3".to_owned());
    assert!(!verdict(wrong.clone()).complete() && !verdict(wrong.clone()).may_heal());
    assert!(!verdict(wrong).edge_holds("first"));
}

#[test]
fn defects_are_documents_too() {
    let verdict = check(&Trace::new("t".to_owned(), whole()[..3].to_vec()), &graph(), Caller::Known("c"));
    assert_eq!(
        serde_json::to_value(&verdict.defects).unwrap(),
        json!([{
            "defect": "missing_span", "node": "batch", "what": "gateway consumer", "kind": "consumer", "protocol": null,
            "edge": "sent → batch", "expected": 1, "found": 0, "cut": "sent → batch",
        }])
    );
}
