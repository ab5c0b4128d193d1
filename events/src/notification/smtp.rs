//! Connections to an SMTP server (RFC 5321) that are used again. One whose dialogue did not come to its end is never used again:
//! what the server says next would be taken for the answer to something else.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use chassis::StartError;
use lettre::{
    Message,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Tls, TlsParameters},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use percent_encoding::percent_decode_str;
use url::Url;

use super::failure::Failure;

/// What a mail's address or text asks of a server that cannot do it.
const UNABLE: &str = "the server takes only ASCII";

pub(super) struct SmtpServer {
    host: String,
    port: u16,
    hello: ClientId,
    tls: Tls,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
    room: usize,
}

impl SmtpServer {
    /// The server that `url` names; nothing is connected yet. At most `room` connections are kept while nobody needs them.
    pub(super) fn new(url: &str, room: usize) -> Result<Self, StartError> {
        let url = Url::parse(url)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("no host")?.trim_matches(['[', ']']).to_owned();
        let wanted = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let parameters = || TlsParameters::new(host.clone());
        let (tls, port) = match (url.scheme(), wanted.as_deref()) {
            ("smtp", None) => (Tls::None, 25),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), 587),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(parameters()?), 587),
            ("smtps", None) => (Tls::Wrapper(parameters()?), 465),
            (scheme, tls) => return Err(format!("no way to speak {scheme} with tls {tls:?}").into()),
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let credentials = credentials(&url)?;
        Ok(Self { port: url.port().unwrap_or(port), host, hello, tls, credentials, idle: Mutex::default(), room })
    }

    /// Sends a mail; `handed_over` is set from the moment on at which the server may have it.
    pub(super) async fn send(&self, mail: &Message, handed_over: &AtomicBool) -> Result<(), Failure> {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return Err(Failure::Away(format!("smtp: {error}"))),
        };
        let result = speak(&mut connection, mail, handed_over).await;
        if matches!(result, Ok(()) | Err(Failure::Refused(_))) && !connection.has_broken() {
            self.keep(connection);
        } else {
            // those that wait are likely to be no better
            self.idle().clear();
        }
        result
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        loop {
            let Some(mut connection) = self.idle().pop() else { break };
            // is it still there? And nothing is left over of the mail before
            if connection.command(Rset).await.is_ok() {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let wrapper = if let Tls::Wrapper(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let server = (self.host.as_str(), self.port);
        // the time is limited by whoever sends a mail
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, wrapper, None).await?;
        match &self.tls {
            Tls::Required(parameters) => connection.starttls(parameters.clone(), &self.hello).await?,
            Tls::Opportunistic(parameters) if connection.can_starttls() => connection.starttls(parameters.clone(), &self.hello).await?,
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle();
        if idle.len() < self.room {
            idle.push(connection);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<AsyncSmtpConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, StartError> {
    let plain = |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
    Ok(match url.password() {
        Some(password) => Some(Credentials::new(plain(url.username())?, plain(password)?)),
        None => None,
    })
}

/// The dialogue about one mail.
async fn speak(connection: &mut AsyncSmtpConnection, mail: &Message, handed_over: &AtomicBool) -> Result<(), Failure> {
    let (envelope, text) = (mail.envelope(), mail.formatted());
    let options = options(connection, mail, &text)?;
    connection.command(Mail::new(envelope.from().cloned(), options)).await.map_err(|error| Failure::of_sender(&error))?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|error| Failure::of_mail(&error))?;
    }
    connection.command(Data).await.map_err(|error| Failure::of_mail(&error))?;
    handed_over.store(true, Ordering::Release);
    match connection.message(&text).await {
        Ok(_) => Ok(()),
        Err(error) if error.status().is_some() => Err(Failure::of_mail(&error)),
        Err(error) => Err(Failure::Uncertain(format!("smtp: the mail was handed over, and then: {error}"))),
    }
}

/// What has to be said of a mail that is not all ASCII. RFC 6531 and RFC 6152.
fn options(connection: &AsyncSmtpConnection, mail: &Message, text: &[u8]) -> Result<Vec<MailParameter>, Failure> {
    let server = connection.server_info();
    let ascii = mail.envelope().to().iter().all(|address| AsRef::<str>::as_ref(address).is_ascii());
    let mut options = Vec::new();
    for (needed, extension, option) in [
        (!ascii, Extension::SmtpUtfEight, MailParameter::SmtpUtfEight),
        (!text.is_ascii(), Extension::EightBitMime, MailParameter::Body(MailBodyParameter::EightBitMime)),
    ] {
        if needed && !server.supports_feature(extension) {
            return Err(Failure::permanent(UNABLE));
        }
        options.extend(needed.then_some(option));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how_to_connect() {
        let server = |url: &str| SmtpServer::new(url, 1).unwrap();
        let plain = server("smtp://mail.example.com");
        assert_eq!((plain.host.as_str(), plain.port, plain.credentials.is_none()), ("mail.example.com", 25, true));
        assert!(matches!(plain.tls, Tls::None));
        let full = server("smtp://user:p%40ss@mail.example.com/shop.example.com?tls=required");
        assert_eq!((full.port, full.hello.clone()), (587, ClientId::Domain("shop.example.com".into())));
        assert!(matches!(full.tls, Tls::Required(_)));
        assert_eq!(full.credentials, Some(Credentials::new("user".into(), "p@ss".into())));
        assert_eq!((server("smtps://m").port, server("smtps://m:26").port, server("smtp://[::1]:2525").host.as_str()), (465, 26, "::1"));
        for bad in ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://m?tls=yes"] {
            assert!(SmtpServer::new(bad, 1).is_err(), "{bad}");
        }
    }
}
