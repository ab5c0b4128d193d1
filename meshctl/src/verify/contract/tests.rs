use super::*;

fn contract(text: &str) -> Result<Contract> {
    Contract::parse(text, "test.yaml")
}

const TWO: &str = "
name: two
modes: [sdk, ebpf]
nodes:
  - { id: door, service: shop, kind: server, protocol: http }
  - { id: sql, service: shop, kind: client, protocol: SQL, count: 1..3, optional: [ebpf], require: [db.namespace], values: { db.x: 1 } }
edges:
  - { from: caller, to: door }
  - { from: door, to: sql, modes: [sdk] }
  - { from: caller, to: sql, modes: [ebpf] }
conventions:
  - { protocol: SQL, require: [db.system.name | db.system, db.namespace] }
  - { kind: server, require: [server.address] }
";

#[test]
fn ours_is_sound_in_both_modes() {
    let ours = Contract::order().unwrap();
    let (sdk, ebpf) = (ours.graph(None).unwrap(), ours.graph(Some("ebpf")).unwrap());
    assert_eq!(sdk.nodes.len(), ours.nodes.len());
    assert!(!sdk.other_spans && ebpf.other_spans);
    assert!(sdk.nodes.iter().chain(&ebpf.nodes).all(|node| !node.parents.is_empty() && !node.require.is_empty()));
    let mandatory = |graph: &Graph| graph.nodes.iter().filter(|node| node.count.min > 0).count();
    assert!(mandatory(&sdk) > mandatory(&ebpf));
}

#[test]
fn modes_choose_edges_and_make_nodes_optional() {
    let two = contract(TWO).unwrap();
    let parent = |mode: &str| two.graph(Some(mode)).unwrap().nodes[1].parents.clone();
    assert_eq!(parent("sdk"), [Parent { node: Some(0), by: By::Parent }]);
    assert_eq!(parent("ebpf"), [Parent { node: None, by: By::Parent }]);
    let count = |mode: &str| two.graph(Some(mode)).unwrap().nodes[1].count.to_string();
    assert_eq!((count("sdk"), count("ebpf")), ("1..3".to_owned(), "0..3".to_owned()));
}

#[test]
fn conventions_apply_by_kind_and_protocol() {
    let graph = contract(TWO).unwrap().graph(None).unwrap();
    let require = |node: usize| graph.nodes[node].require.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(require(0), ["server.address"]);
    assert_eq!(require(1), ["db.namespace", "db.system.name | db.system"]);
    assert!(graph.nodes[1].values[0].1.matches("1"), "a number in YAML is a text here");
}

#[test]
fn every_mistake_is_told_at_once_with_what_is_allowed() {
    let wrong = TWO
        .replace("optional: [ebpf]", "optional: [fast]")
        .replace("from: door, to: sql", "from: window, to: sql")
        .replace("id: door", "id: caller");
    let error = contract(&wrong).unwrap_err();
    assert_eq!(failure::exit_code(&error), 2);
    let error = format!("{error:#}");
    for part in [
        "test.yaml:",
        "nodes.sql.optional: there is no mode \"fast\"; modes are sdk, ebpf",
        "edges, window -> sql: from: there is no node \"window\"; there are caller, sql, caller",
        "edges, caller -> door: to: there is no node \"door\"",
        "nodes.caller: this id stands for whoever sends the request",
    ] {
        assert!(error.contains(part), "{part} in\n{error}");
    }
}

#[test]
fn a_node_needs_a_way_up() {
    let circle = TWO.replace("from: caller, to: door", "from: sql, to: door");
    let error = format!("{:#}", contract(&circle).unwrap_err());
    assert!(error.contains("nodes.door: no edges lead to it from caller in mode sdk"), "{error}");
    assert!(error.contains("nodes.sql: no edges lead to it from caller in mode sdk"), "{error}");
    assert!(!error.contains("in mode ebpf"), "there both have one: {error}");
}

#[test]
fn the_example_of_the_manual_is_a_contract() {
    let manual = include_str!("../../../../docs/verify.md");
    let example = manual.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let contract = contract(example).unwrap();
    assert_eq!((contract.nodes.len(), contract.edges.len(), contract.modes.len()), (2, 3, 2));
    assert_eq!(contract.counts.log.unwrap().loki, "{service_name=\"cron\"}");
}
