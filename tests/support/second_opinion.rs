//! A second evaluator of IAM policies, which can also stand in for IAM.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::child::Guarded;

pub struct SecondOpinion {
    /// Ends with this.
    _process: Guarded,
    address: SocketAddr,
    /// `Allowed`, `ExplicitlyDenied` or `ImplicitlyDenied` for each question.
    pub decisions: Vec<String>,
}

impl SecondOpinion {
    /// `questions` are those that `second_opinion.mjs` describes.
    pub fn on(questions: &serde_json::Value) -> Self {
        super::missing::program("node", "nodejs");
        let evaluator = super::missing::tool("HUSHFS_TEST_IAM_SIMULATE", "node_modules/@cloud-copilot/iam-simulate");
        let root = evaluator.ancestors().nth(3).expect("the folder of node_modules");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/second_opinion.mjs");
        let mut command = Command::new("node");
        command.arg(script).arg(root).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Guarded::spawn(&mut command).expect("node starts");
        let input = process.0.stdin.as_mut().expect("its standard input");
        input.write_all(format!("{questions}\n").as_bytes()).expect("it reads");
        let mut line = String::new();
        let output = process.0.stdout.take().expect("its standard output");
        BufReader::new(output).read_line(&mut line).expect("it writes");
        let answer: serde_json::Value = serde_json::from_str(&line).expect("JSON, or see above for why not");
        let decisions = answer["decisions"].as_array().expect("a list").iter();
        let decisions = decisions.map(|it| it.as_str().expect("text").to_owned()).collect();
        let address = answer["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        Self { _process: process, address, decisions }
    }

    /// Where it stands in for IAM.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
