//! Colours: one for each service, red for failures alone.

use std::collections::HashMap;

/// Colours of the 256-colour table which stay apart on dark and on light backgrounds; none is red.
const PALETTE: [u8; 9] = [39, 208, 135, 71, 178, 169, 37, 137, 105];

/// Adds ANSI colours, or leaves text as it is.
pub(super) struct Paint {
    on: bool,
    services: HashMap<String, u8>,
}

impl Paint {
    /// Gives the services their colours in this order.
    pub(super) fn new(on: bool, services: &[&str]) -> Self {
        let colours = services.iter().zip(PALETTE.iter().cycle());
        Self { on, services: colours.map(|(service, colour)| ((*service).to_owned(), *colour)).collect() }
    }

    pub(super) fn service(&self, service: &str, text: &str) -> String {
        match self.services.get(service) {
            Some(colour) => self.wrap(&format!("38;5;{colour}"), text),
            None => text.to_owned(),
        }
    }

    pub(super) fn error(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(super) fn warning(&self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(&self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
