//! What is wrong with a contract that is well-formed: all of it at once, by key.

use std::collections::HashSet;

use super::{By, CALLER, Contract, Node};

/// Every mistake, each with what is allowed.
pub(super) fn mistakes(contract: &Contract) -> Vec<String> {
    let mut mistakes = Vec::new();
    if contract.modes.is_empty() {
        mistakes.push("modes: name at least one, or leave the key out".to_owned());
    }
    if contract.nodes.is_empty() {
        mistakes.push("nodes: there must be at least one".to_owned());
    }
    if !contract.clock_tolerance_ms.is_finite() || contract.clock_tolerance_ms < 0.0 {
        mistakes.push(format!("clock_tolerance_ms: {} is not 0 or more", contract.clock_tolerance_ms));
    }
    mistakes.extend(modes(contract));
    mistakes.extend(ids(contract));
    mistakes.extend(ends(contract));
    mistakes.extend(parents(contract));
    let counted = contract.counts.span.iter().filter(|id| !known(contract, id));
    mistakes.extend(counted.map(|id| format!("counts.span: {}", no_node(contract, id))));
    mistakes
}

fn known(contract: &Contract, id: &str) -> bool {
    contract.nodes.iter().any(|node| node.id == id)
}

fn no_node(contract: &Contract, id: &str) -> String {
    let ids: Vec<&str> = contract.nodes.iter().map(|node| node.id.as_str()).collect();
    format!("there is no node {id:?}; there are {}", ids.join(", "))
}

fn modes(contract: &Contract) -> Vec<String> {
    let of_nodes = contract.nodes.iter().map(|node| (format!("nodes.{}.optional", node.id), &node.optional));
    let of_edges = contract.edges.iter().map(|edge| (format!("edges, {} -> {}: modes", edge.from, edge.to), &edge.modes));
    let all = of_nodes.chain(of_edges).chain([("other_spans".to_owned(), &contract.other_spans)]);
    all.flat_map(|(key, modes)| modes.iter().map(move |mode| (key.clone(), mode)))
        .filter(|(_, mode)| !contract.modes.contains(mode))
        .map(|(key, mode)| format!("{key}: there is no mode {mode:?}; modes are {}", contract.modes.join(", ")))
        .collect()
}

fn ids(contract: &Contract) -> Vec<String> {
    let mut seen = HashSet::new();
    let twice = contract.nodes.iter().filter(|node| !seen.insert(node.id.as_str()));
    let mut mistakes: Vec<String> = twice.map(|node| format!("nodes.{}: there is another node with this id", node.id)).collect();
    if known(contract, CALLER) {
        mistakes.push(format!("nodes.{CALLER}: this id stands for whoever sends the request; choose another"));
    }
    let named_twice = |node: &&Node| node.name.is_some() && node.name_pattern.is_some();
    mistakes
        .extend(contract.nodes.iter().filter(named_twice).map(|node| format!("nodes.{}: give name or name_pattern, not both", node.id)));
    mistakes
}

fn ends(contract: &Contract) -> Vec<String> {
    let mut mistakes = Vec::new();
    for edge in &contract.edges {
        let key = format!("edges, {} -> {}", edge.from, edge.to);
        if edge.from != CALLER && !known(contract, &edge.from) {
            mistakes.push(format!("{key}: from: {}, {CALLER}", no_node(contract, &edge.from)));
        }
        if !known(contract, &edge.to) {
            mistakes.push(format!("{key}: to: {}", no_node(contract, &edge.to)));
        }
        if edge.from == CALLER && edge.by == By::Link {
            mistakes.push(format!("{key}: by: the caller can only be a parent"));
        }
    }
    mistakes
}

/// Each node has a way up to the caller, in every mode.
fn parents(contract: &Contract) -> Vec<String> {
    let mut mistakes = Vec::new();
    for mode in &contract.modes {
        let edges: Vec<_> = contract.edges.iter().filter(|edge| edge.modes.is_empty() || edge.modes.contains(mode)).collect();
        let mut reached = HashSet::from([CALLER]);
        while let Some(edge) = edges.iter().find(|edge| reached.contains(edge.from.as_str()) && !reached.contains(edge.to.as_str())) {
            reached.insert(&edge.to);
        }
        let lost = contract.nodes.iter().filter(|node| !reached.contains(node.id.as_str()));
        mistakes.extend(lost.map(|node| format!("nodes.{}: no edges lead to it from {CALLER} in mode {mode}", node.id)));
    }
    mistakes
}
