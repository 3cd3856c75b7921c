//! Settings of any kind, from four places: defaults, a file, `GITMOOR_*` variables, flags; later
//! wins. What is unknown is an error that names it and its place.
//!
//! A *setting* is addressed by its path in the file, `arm.endpoint`; its *origin* is the file, the
//! variable or the flag that a value came from.

mod files;
mod problem;
mod variables;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    util::nest,
    value::{Dict, Map, Value},
};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use files::read_bounded;

/// What `--help` says of settings.
pub(crate) const HELP: &str = "\
Settings of agent, operator and portal come from defaults, then the YAML file of --config or
GITMOOR_CONFIG, then variables, then flags; later wins. The variable of a setting is its path in
the file with an underscore between words and two between levels: GITMOOR_OPERATOR_IMAGE is
operatorImage, GITMOOR_OPERATOR__ALLOW_HTTP is operator.allowHttp. A list is written [a, b]. A file
that changes is read again; one that is wrong then changes nothing but the log.

Exit status: 0 when all went well, 1 after a failure, 2 when flags or settings are wrong.";

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("read the settings file {}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file is no YAML.
    #[error("understand the settings file {} as YAML", .path.display())]
    Yaml {
        path: PathBuf,
        source: serde_yaml::Error,
    },
    /// The file is a list or a text.
    #[error("the settings file {} must hold `key: value` lines", .path.display())]
    NoMapping { path: PathBuf },
    /// A variable is not UTF-8.
    #[error("the variable {name} is no UTF-8 text")]
    Unicode { name: String },
    /// A setting that there is not.
    #[error("there is no setting `{setting}`, given by {origin}; known here: {known}")]
    Unknown {
        setting: String,
        origin: String,
        known: String,
    },
    /// A setting whose value is wrong.
    #[error("the setting `{setting}`, given by {origin}, is wrong: {problem}")]
    Wrong {
        setting: String,
        origin: String,
        problem: String,
    },
    /// Settings that are each right but do not go together.
    #[error("use the settings")]
    Rejected(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where the settings `T` of a command come from.
#[derive(Debug)]
pub(crate) struct Sources<T> {
    defaults: Vec<Layer>,
    file: Option<PathBuf>,
    /// Whether there may be no such file.
    file_is_optional: bool,
    variables: Vec<(OsString, OsString)>,
    flags: Vec<Layer>,
    check: fn(&T) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
}

impl<T: DeserializeOwned> Sources<T> {
    /// A settings file and the variables of this process.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self {
            defaults: Vec::new(),
            file,
            file_is_optional: false,
            variables: std::env::vars_os().collect(),
            flags: Vec::new(),
            check: |_| Ok(()),
        }
    }

    /// Names the file that is read when none was named, if there is one.
    pub(crate) fn default_file(mut self, file: &str) -> Self {
        // Where there is no folder, none will come: there is nothing to watch.
        if self.file.is_none() && Path::new(file).parent().is_some_and(Path::is_dir) {
            self.file = Some(file.into());
            self.file_is_optional = true;
        }
        self
    }

    /// The settings file.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.file.clone()
    }

    /// Rejects settings that the types cannot tell from good ones.
    pub(crate) fn check(
        mut self,
        check: fn(&T) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.check = check;
        self
    }

    /// Adds a flag, if it was given, as the value of a setting.
    pub(crate) fn flag(mut self, flag: &str, setting: &str, value: Option<impl Serialize>) -> Self {
        if let Some(value) = value {
            self.flags.push(Layer::of(flag, setting, value));
        }
        self
    }

    /// Adds a default that depends on the machine.
    pub(crate) fn default_of(mut self, setting: &str, value: impl Serialize) -> Self {
        self.defaults.push(Layer::of("default", setting, value));
        self
    }

    /// Reads all sources and makes the settings of them; what nobody gives has the default of `T`.
    ///
    /// # Errors
    /// When the file cannot be read, a source names an unknown setting or a wrong value, or the
    /// check rejects the whole.
    pub(crate) fn load(&self) -> Result<T, Error> {
        let mut layers = self.defaults.clone();
        if let Some(path) = &self.file {
            match files::layer(path) {
                Err(Error::Read { source, .. })
                    if self.file_is_optional && source.kind() == io::ErrorKind::NotFound => {}
                layer => layers.push(layer?),
            }
        }
        layers.extend(variables::layers(&self.variables)?);
        layers.extend(self.flags.iter().cloned());
        let figment = layers.into_iter().fold(Figment::new(), Figment::merge);
        // The environment has only texts: lossy takes `8` for a number where one is wanted.
        let settings = figment.extract_lossy();
        let settings = settings.map_err(|error| problem::explain(&figment, &error))?;
        (self.check)(&settings).map_err(Error::Rejected)?;
        Ok(settings)
    }
}

/// What one origin says.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    origin: String,
    values: Dict,
}

impl Layer {
    fn of(origin: &str, setting: &str, value: impl Serialize) -> Self {
        let value = Value::serialize(value).expect("flags and paths are plain data");
        Self::nested(origin, setting, value)
    }

    fn nested(origin: &str, setting: &str, value: Value) -> Self {
        Self {
            origin: origin.to_owned(),
            values: nest(setting, value).into_dict().unwrap_or_default(),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

#[cfg(test)]
mod tests;
