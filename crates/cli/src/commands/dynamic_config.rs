//! `--dynamic-config-value`, by which limits and switches are set under the reference's keys.

use clap::Args;
use steadfast_machine::Limits;
use steadfast_server::dynamic_config::{self, Effect};

#[derive(Args)]
pub struct DynamicConfig {
    /// Dynamic configuration, the value as JSON. Can be passed more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    dynamic_config_value: Vec<String>,
}

impl DynamicConfig {
    /// The limits that were set, and the defaults of all others.
    ///
    /// # Errors
    /// A setting is not `KEY=JSON`, or not of the key's type.
    pub fn limits(&self) -> Result<Limits, String> {
        let mut limits = Limits::default();
        for setting in &self.dynamic_config_value {
            configure(&mut limits, setting)?;
        }
        Ok(limits)
    }
}

/// What is unknown is said, but does not stop the start: helpers pass keys of other versions.
fn configure(limits: &mut Limits, setting: &str) -> Result<(), String> {
    let (key, value) = setting
        .split_once('=')
        .ok_or_else(|| format!("invalid dynamic config value \"{setting}\": expected KEY=VALUE"))?;
    let value = serde_json::from_str(value)
        .map_err(|error| format!("invalid JSON for dynamic config value {key}: {error}"))?;
    match dynamic_config::apply(limits, key, &value) {
        Effect::Applied | Effect::AlwaysSo => Ok(()),
        Effect::Ignored => {
            tracing::warn!(key, %value, "this server does otherwise: the setting has no effect");
            Ok(())
        }
        Effect::Unknown => {
            tracing::warn!(key, "unknown dynamic config key: the setting has no effect");
            Ok(())
        }
        Effect::BadValue => Err(format!("invalid value for dynamic config value {key}: {value}")),
    }
}
