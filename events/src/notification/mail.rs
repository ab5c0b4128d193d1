//! The text of a mail. RFC 5322.

use lettre::{
    Message,
    message::{Mailbox, header::ContentType},
};
use uuid::Uuid;

use crate::{
    consumer::HandleError,
    contract::{Item, NotificationRequested, OrderChange},
};

/// The mail for a notice. Its Message-ID is the event's id: a repeat can be told by it.
pub(super) fn compose(sender: &Mailbox, event_id: Uuid, notice: &NotificationRequested) -> Result<Message, HandleError> {
    let wrong = |error: &dyn std::fmt::Display| HandleError::permanent(format!("no mail can be made of it: {error}"));
    let address = notice.email.parse().map_err(|error| wrong(&error))?;
    Message::builder()
        .from(sender.clone())
        .to(Mailbox::new(Some(notice.username.clone()), address))
        .subject(subject(notice))
        .message_id(Some(format!("<{event_id}@throughline>")))
        .header(ContentType::TEXT_PLAIN)
        .body(body(notice))
        .map_err(|error| wrong(&error))
}

fn subject(notice: &NotificationRequested) -> String {
    let order = notice.order_id;
    match notice.change {
        OrderChange::Placed => format!("Your order {order}"),
        OrderChange::Updated => format!("Your order {order} is {}", notice.status.as_deref().unwrap_or("changed")),
        OrderChange::Cancelled => format!("Your order {order} was cancelled"),
    }
}

fn body(notice: &NotificationRequested) -> String {
    let mut lines = vec![format!("Hello {},", notice.username), String::new(), format!("{}.", subject(notice)), String::new()];
    let item = |item: &Item| format!("{:>5} x {} at {} {}", item.quantity, item.product_name, item.unit_price, notice.currency);
    lines.extend(notice.items.iter().map(item));
    if let Some(total) = notice.total_amount {
        lines.extend([String::new(), format!("Total: {total} {}", notice.currency)]);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    #[test]
    fn a_mail_names_lines_and_total_and_carries_the_events_id() {
        let item = Item { product_id: Uuid::nil(), product_name: "Tea pot".into(), quantity: 2, unit_price: dec!(19.90) };
        let notice = NotificationRequested {
            change: OrderChange::Placed,
            order_id: Uuid::nil(),
            username: "Ada".into(),
            email: "ada@example.com".into(),
            status: None,
            items: vec![item],
            total_amount: Some(dec!(39.80)),
            currency: "EUR".into(),
        };
        let sender = "Throughline <orders@throughline.test>".parse().unwrap();
        let mail = String::from_utf8(compose(&sender, Uuid::max(), &notice).unwrap().formatted()).unwrap();
        for part in ["To: Ada <ada@example.com>", "2 x Tea pot at 19.90 EUR", "Total: 39.80 EUR", "ffffffffffff@throughline"] {
            assert!(mail.contains(part), "{part} is not in {mail}");
        }
    }
}
