//! A connection to a caller, encrypted or not.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// See the module.
pub(crate) enum Transport {
    /// As it is.
    Plain(TcpStream),
    /// By TLS, the handshake done.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, poller: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(poller, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(poller, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, poller: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(poller, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(poller, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(poller),
            Self::Tls(stream) => Pin::new(stream).poll_flush(poller),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(poller),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(poller),
        }
    }
}
