//! What came of each layer of the sandbox.

use serde::{Deserialize, Serialize};

/// One layer, for `hushfs status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The setting in `[sandbox]` that turns it off.
    pub name: String,
    pub state: State,
    /// In words.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    On,
    /// The kernel can do a part of it.
    Partial,
    /// The kernel cannot do it.
    Unavailable,
    /// This host has not what it needs.
    Missing,
    /// There is nothing that it could take away.
    Unneeded,
    /// A setting says so.
    Off,
}

impl Layer {
    pub(super) fn on(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::On, detail: detail.into() }
    }

    pub(super) fn off(name: &str) -> Self {
        let detail = format!("[sandbox] has {name} = false");
        Self { name: name.to_owned(), state: State::Off, detail }
    }
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Partial => "in part",
            Self::Unavailable => "not in this kernel",
            Self::Missing => "NOT ON",
            Self::Unneeded => "not needed",
            Self::Off => "OFF",
        }
    }
}
