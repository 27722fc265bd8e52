//! Values that say what they are: which key of which secret, and which version; every other byte follows from that.

use super::random::Random;

/// In every value, so that one can be looked for where none may be.
pub const MARK: &str = "hushfs-soak";

/// The keys of every secret, and how long their values may be, in bytes.
pub const KEYS: [(&str, usize); 3] = [("config", 8_000), ("password", 300), ("username", 60)];

/// The value of a key (`scope/name/key`) in a version.
pub fn value(key: &str, version: u64) -> String {
    let mut value = format!("{MARK} {key} v{version} ");
    let seed = value
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut random = Random::new(seed);
    let longest = KEYS.iter().find(|(name, _)| key.ends_with(name)).map_or(100, |(_, longest)| *longest);
    for _ in 0..1 + random.below(longest) {
        value.push(char::from(*random.pick(b"abcdefghijklmnopqrstuvwxyz0123456789")));
    }
    value
}

/// A whole version of a secret (`scope/name`) as a JSON object.
pub fn object(secret: &str, version: u64) -> serde_json::Value {
    let of = |key: &str| serde_json::Value::String(value(&format!("{secret}/{key}"), version));
    KEYS.iter().map(|(key, _)| (key.to_string(), of(key))).collect()
}

/// The version that these bytes are of, if they are a whole value of this key.
pub fn version_of(key: &str, bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let version = text.strip_prefix(MARK)?.strip_prefix(' ')?.strip_prefix(key)?.strip_prefix(" v")?;
    let version = version.split(' ').next()?.parse().ok()?;
    (value(key, version) == text).then_some(version)
}
