use super::*;
use crate::trace::model::{Kind, Status};

fn span(id: &str, parent: Option<&str>, service: &str, name: &str) -> Span {
    Span {
        id: id.to_owned(),
        parent: parent.map(str::to_owned),
        service: service.to_owned(),
        name: name.to_owned(),
        start_us: 1_000,
        duration_us: 800,
        ..Span::example(id, &[])
    }
}

fn lines(spans: Vec<Span>, width: usize) -> Vec<String> {
    render(&Trace::new("ab".repeat(16), spans), width, false).lines().map(str::to_owned).collect()
}

#[test]
fn a_grpc_method_is_shown_without_its_package() {
    let mut call = span("1", None, "gateway", "throughline.orders.v1.OrderService/PlaceOrder");
    call.kind = Kind::Client;
    call.attributes.insert("rpc.system.name".to_owned(), "grpc".into());
    let shown = lines(vec![call], 100);
    assert!(shown[1].contains("gateway  OrderService/PlaceOrder  gRPC"), "{}", shown[1]);
}

#[test]
fn failures_and_orphans_are_marked_and_named() {
    let mut failed = span("2", Some("1"), "orders", "place");
    failed.status = Status::Error;
    failed.status_message = Some("out of\nstock".to_owned());
    let shown = lines(vec![span("1", None, "gateway", "door"), failed, span("3", Some("9"), "events", "lost")], 100);
    assert!(shown[2].contains("└ place") && shown[2].contains('✗'), "{}", shown[2]);
    assert!(shown[3].contains('?'), "{}", shown[3]);
    assert!(shown.contains(&"✗ orders  place: out of stock".to_owned()), "{shown:#?}");
    let summary = shown.join(" ");
    assert!(summary.contains("1 error ·") && summary.contains("1 orphan"), "{summary}");
}

#[test]
fn only_what_serves_a_caller_of_its_own_has_its_parent_outside() {
    let orphans = |kind: Kind, second: &str| {
        let first = Span { kind, ..span("1", Some("caller"), "gateway", "door") };
        let trace = Trace::new("ab".repeat(16), vec![first, span("2", Some(second), "orders", "send")]);
        trace.orphans().map(|span| span.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(orphans(Kind::Server, "caller"), Vec::<String>::new());
    assert_eq!(orphans(Kind::Server, "lost"), ["2"]);
    assert_eq!(orphans(Kind::Client, "1"), ["1"]);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut spans = vec![span("0", None, "gateway", "door")];
    for depth in 1..30 {
        spans.push(span(&depth.to_string(), Some(&(depth - 1).to_string()), "a-service-with-a-long-name", &"long ".repeat(30)));
    }
    for width in [72, 100, 240] {
        let shown = lines(spans.clone(), width);
        let widest = shown.iter().map(|line| measure_text_width(line)).max();
        assert!(widest <= Some(width), "{widest:?} of {width}");
    }
}

#[test]
fn colour_is_there_only_where_it_is_wanted() {
    let trace = Trace::new("ab".repeat(16), vec![span("1", None, "gateway", "door")]);
    assert!(render(&trace, 100, true).contains('\u{1b}'));
    assert!(!render(&trace, 100, false).contains('\u{1b}'));
}

#[test]
fn durations_have_three_digits() {
    let shown = [0, 999, 1_500, 24_600, 99_950, 999_500, 61_000_000].map(duration);
    assert_eq!(shown, ["0 µs", "999 µs", "1.50 ms", "24.6 ms", "100 ms", "1.00 s", "1m 1s"]);
}
