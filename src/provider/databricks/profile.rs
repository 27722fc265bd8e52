//! `~/.databrickscfg`: the profiles of Databricks' own tools.

use zeroize::Zeroizing;

/// The settings of a profile that we know what to do with. Values are as they stand there.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) host: Option<String>,
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Zeroizing<String>>,
}

/// The section `[name]` of an INI file; None where there is none.
pub(super) fn find(text: &str, name: &str) -> Option<Profile> {
    let mut found: Option<Profile> = None;
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = header.trim() == name;
            if inside {
                found.get_or_insert_default();
            }
            continue;
        }
        if !inside || line.starts_with(['#', ';']) {
            continue;
        }
        if let (Some(profile), Some((key, value))) = (&mut found, line.split_once('=')) {
            let value = value.trim();
            let value = (!value.is_empty()).then_some(value);
            match key.trim() {
                "host" => profile.host = value.map(str::to_owned),
                "token" => profile.token = value.map(|it| Zeroizing::new(it.to_owned())),
                "client_id" => profile.client_id = value.map(str::to_owned),
                "client_secret" => profile.client_secret = value.map(|it| Zeroizing::new(it.to_owned())),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "; mine\n[DEFAULT]\nhost  = https://one.example\ntoken = dapi=1\n\n[ m2m ]\r\nhost=https://two.example/\r\n\
                        # token = no\r\nclient_id = id\nclient_secret = it is = secret\nauth_type = oauth-m2m\n[empty]\n";

    #[test]
    fn a_profile_is_its_section_and_no_other() {
        let profile = find(FILE, "DEFAULT").unwrap();
        assert_eq!(profile.host.as_deref(), Some("https://one.example"));
        assert_eq!(profile.token.unwrap().as_str(), "dapi=1");
        assert!(profile.client_id.is_none());
        let profile = find(FILE, "m2m").unwrap();
        assert_eq!(profile.host.as_deref(), Some("https://two.example/"));
        assert!(profile.token.is_none());
        assert_eq!(profile.client_secret.unwrap().as_str(), "it is = secret");
        assert!(find(FILE, "empty").unwrap().host.is_none());
        assert!(find(FILE, "default").is_none());
    }

    mod properties {
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn any_text_is_read_without_a_panic(text in "[\\[\\]=#; a\n\r\u{e9}-]{0,64}", name in ".{0,4}") {
                let _ = super::find(&text, &name);
            }
        }
    }
}
