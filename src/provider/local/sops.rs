//! Recognises files that SOPS encrypted in place. They are not decrypted: no maintained library does it.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::names::FileFormat;

/// Is this a SOPS file? Only what SOPS itself writes is recognised: its metadata and the MAC in it.
pub fn is_sops(bytes: &[u8], format: FileFormat) -> bool {
    match format {
        FileFormat::Json | FileFormat::Bytes => is_json(bytes),
        FileFormat::Yaml => is_yaml(bytes) || is_json(bytes),
        FileFormat::Env => lines(bytes).any(|line| line.starts_with(b"sops_mac=")),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "sops")]
        _sops: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(rename = "mac")]
        _mac: IgnoredAny,
    }
    serde_json::from_slice::<Document>(bytes).is_ok()
}

fn is_yaml(bytes: &[u8]) -> bool {
    lines(bytes)
        .skip_while(|line| line.trim_ascii_end() != b"sops:")
        .skip(1)
        .take_while(|line| line.first().is_none_or(|&first| first == b' ' || first == b'#'))
        .any(|line| line.trim_ascii_start().starts_with(b"mac:"))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n')
}

/// What to tell whoever asks for one. `file` is for the message.
pub fn advice(file: &str, format: FileFormat) -> String {
    let format = match format {
        FileFormat::Json => "json",
        FileFormat::Yaml => "yaml",
        FileFormat::Env => "env",
        FileFormat::Bytes => "bytes",
    };
    format!(
        "{file} is encrypted by SOPS, which this version of hushfs cannot decrypt; put it into the store with \
         `sops -d FILE | hushfs store import --name NAME --format {format} -` and remove it from the folder"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sops_files_are_told_from_others() {
        let yaml = b"password: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nsops:\n    age:\n        - recipient: age1x\n    mac: ENC[x]\n    version: 3.8.1\n";
        assert!(is_sops(yaml, FileFormat::Yaml));
        assert!(is_sops(br#"{"a":"ENC[x]","sops":{"age":[],"mac":"ENC[y]"}}"#, FileFormat::Json));
        assert!(is_sops(b"A=ENC[x]\nsops_version=3.8\nsops_mac=ENC[y]\n", FileFormat::Env));
        assert!(!is_sops(b"sops:\n  version: 3\nother:\n  mac: 02:00\n", FileFormat::Yaml));
        assert!(!is_sops(br#"{"sops":"a word","mac":1}"#, FileFormat::Json));
        assert!(!is_sops(br#"[1]"#, FileFormat::Json));
        assert!(!is_sops(b"# sops_mac=\nA=1", FileFormat::Env));
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn no_bytes_make_it_panic(bytes in "(sops:|mac:|sops_mac=|[{}\":, \n#]|\\PC){0,40}") {
                for format in [FileFormat::Json, FileFormat::Yaml, FileFormat::Env, FileFormat::Bytes] {
                    let _ = is_sops(bytes.as_bytes(), format);
                }
            }
        }
    }
}
