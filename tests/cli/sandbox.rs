//! `[sandbox]`: what is turned off, and what is let through besides.

use crate::support::goldens;

goldens! {
    a_sandbox_whose_layers_need_one_that_is_off: "[sandbox]\nno_new_privileges = false\n";
    a_sandbox_without_new_privileges_and_what_needs_them: "[sandbox]\nno_new_privileges = false\nlandlock = false\nseccomp = false\n";
    a_sandbox_with_a_relative_path: "[sandbox]\nread = [\"etc/pki\"]\n";
    a_sandbox_with_a_path_that_is_no_list: "[sandbox]\nprograms = \"/opt/bin\"\n";
    a_sandbox_with_a_port_that_is_none: "[sandbox]\nconnect = [0, 8443, 65536]\n";
    a_sandbox_with_a_port_as_text: "[sandbox]\nconnect = [\"8443\"]\n";
    a_sandbox_user_that_is_a_number: "[sandbox]\nuser = 998\n";
    a_sandbox_user_without_a_name: "[sandbox]\nuser = \"\"\n";
    a_sandbox_key_that_is_unknown: "[sandbox]\nselinux = true\n";
}
