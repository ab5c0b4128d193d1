//! Metadata of a call.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tonic::metadata::{Ascii, Binary, MetadataKey, MetadataMap, MetadataValue};

use super::failure::Failure;

/// Reads `key: value`, once for each.
pub(super) fn read(headers: &[String]) -> Result<MetadataMap, Failure> {
    let mut map = MetadataMap::new();
    for header in headers {
        let wrong = |why: &str| Failure::Usage(format!("-H {header:?}: {why}, expected 'key: value'"));
        let (key, value) = header.split_once(':').ok_or_else(|| wrong("no colon"))?;
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        if key.ends_with("-bin") {
            let key = MetadataKey::<Binary>::from_bytes(key.as_bytes()).map_err(|_| wrong("not a metadata key"))?;
            let bytes = STANDARD.decode(value).map_err(|_| wrong("the value is not base64"))?;
            map.append_bin(key, MetadataValue::from_bytes(&bytes));
        } else {
            let key = MetadataKey::<Ascii>::from_bytes(key.as_bytes()).map_err(|_| wrong("not a metadata key"))?;
            map.append(key, value.parse().map_err(|_| wrong("not a metadata value"))?);
        }
    }
    Ok(map)
}

/// Adds `authorization: Bearer TOKEN` (RFC 6750).
pub(super) fn authorize(map: &mut MetadataMap, token: &str) -> Result<(), Failure> {
    let value = format!("Bearer {token}").parse().map_err(|_| Failure::Usage("the token has signs that no token has".to_owned()))?;
    map.insert("authorization", value);
    Ok(())
}
