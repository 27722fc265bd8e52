//! `[metrics]`: where they can be asked for.

use crate::support::{Fixture, golden, goldens};

goldens! {
    metrics_at_a_port_alone: "[metrics]\nlisten = \":9464\"\n";
    metrics_at_a_name: "[metrics]\nlisten = \"localhost:9464\"\n";
    metrics_at_no_port: "[metrics]\nlisten = \"127.0.0.1:0\"\n";
    metrics_at_a_relative_path: "[metrics]\nlisten = \"run/metrics.sock\"\n";
    metrics_that_name_secrets_to_nobody: "[metrics]\nnames = true\n";
    metrics_at_a_socket: "[metrics]\nlisten = \"/run/hushfs/metrics.sock\"\nnames = true\n";
    metrics_at_a_loopback_port: "[metrics]\nlisten = \"[::1]:9464\"\n";
    a_metrics_key_at_the_top: "listen = \"127.0.0.1:9464\"\n";
}

#[test]
fn metrics_for_the_whole_network_are_refused() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", "[metrics]\nlisten = \"0.0.0.0:9464\"\n");
    golden("metrics_for_the_whole_network", &fixture.check());
}
