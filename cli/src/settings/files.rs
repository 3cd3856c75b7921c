//! The settings file, and the bound on every file that settings name.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use figment::value::Value;

use super::{Error, Layer};

/// More than any settings, token or certificate needs; `--config /dev/zero` ends here.
const LIMIT: u64 = 1 << 20;

/// Reads a file of at most 1 MiB.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(LIMIT + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it has more than 1 MiB",
        ));
    }
    Ok(content)
}

pub(super) fn layer(path: &Path) -> Result<Layer, Error> {
    let content = read_bounded(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let yaml = |source| Error::Yaml {
        path: path.to_owned(),
        source,
    };
    // By way of serde_yaml's own value, which does not let a key stand twice.
    let value: serde_yaml::Value = serde_yaml::from_slice(&content).map_err(yaml)?;
    let no_mapping = || Error::NoMapping {
        path: path.to_owned(),
    };
    let values = match Value::serialize(value) {
        Ok(Value::Dict(_, values)) => values,
        Ok(Value::Empty(..)) => Default::default(),
        Ok(_) | Err(_) => return Err(no_mapping()),
    };
    Ok(Layer {
        origin: path.display().to_string(),
        values,
    })
}
