//! How sending a mail can fail, which decides what comes next.

use lettre::transport::smtp::Error as SmtpError;

use crate::consumer::HandleError;

/// What `dlq.exception.class` says of a server's refusal.
const CLASS: &str = "lettre::transport::smtp::Error";

#[derive(Debug)]
pub(super) enum Failure {
    /// The server has judged this mail: [`HandleError::Permanent`] or [`HandleError::Transient`].
    Refused(HandleError),
    /// Nobody has the mail, and no mail is to blame: the server is away, hangs, or does not want us.
    Away(String),
    /// The mail was handed over and no answer came: somebody may have it.
    Uncertain(String),
}

impl Failure {
    pub(super) fn permanent(reason: &str) -> Self {
        Self::Refused(HandleError::permanent(format!("smtp: {reason}")).of_class(CLASS))
    }

    /// An answer to the recipient or to the text. RFC 5321, 4.2; RFC 4954, 6.
    pub(super) fn of_mail(error: &SmtpError) -> Self {
        let text = format!("smtp: {error}");
        match error.status().map(u16::from) {
            // it goes away, or does not want us: no mail is to blame
            None | Some(421 | 530 | 534 | 535 | 538) => Self::Away(text),
            Some(500..) => Self::Refused(HandleError::permanent(text).of_class(CLASS)),
            Some(_) => Self::Refused(HandleError::transient(text).of_class(CLASS)),
        }
    }

    /// An answer to `MAIL FROM`, which is the same for all mails.
    pub(super) fn of_sender(error: &SmtpError) -> Self {
        match error.status().map(u16::from) {
            // too large, or parameters that are this mail's
            Some(552 | 555) => Self::of_mail(error),
            _ => Self::Away(format!("smtp: {error}")),
        }
    }
}
