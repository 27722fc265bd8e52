//! What readers see while a provider, or the way to it, is out of order: every provider, every fault, over a real mount.

#[cfg(feature = "local")]
mod local;
#[cfg(any(
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "azure",
    feature = "kubernetes",
    feature = "databricks"
))]
mod network;
