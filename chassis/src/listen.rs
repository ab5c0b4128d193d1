//! Binding.

use std::{io, net::SocketAddr};

/// The address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {address}: {source}; choose a free port or stop what holds it")]
pub struct ListenError {
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Binds `address`, which was configured as `key`.
///
/// # Errors
/// [`ListenError`], which names the key.
pub fn listen(key: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| ListenError { key, address, source })
}
