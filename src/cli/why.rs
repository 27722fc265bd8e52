//! `hushfs why`: may this caller have this, and why?

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::place::Place;
use super::status::escaped;
use super::{Failure, Status as Exit, json, print};
use crate::access::explanation::{CallerShown, Decision, Explanation, Step};
use crate::control::{self, Request, Response, Who};

/// Tell whether a caller may have a file or directory of a mount, and each step that decides it
///
/// Asks the daemon to decide as it would for that caller, the provider included: a value that is not in memory is
/// fetched, and dropped. What cannot be known of a user as such (unit, control group, container, executable) is known
/// of a process: --pid. The status is 0 for yes and 1 for no. Only root and the user who runs the daemon may ask.
#[derive(Debug, clap::Args)]
pub struct Why {
    /// A path in the mount, whether or not it is there
    path: PathBuf,
    /// A user of this host, by name; without any of these three: this process
    #[arg(long, value_name = "NAME", conflicts_with_all = ["uid", "pid"])]
    user: Option<String>,
    /// A user by number
    #[arg(long, value_name = "N", conflicts_with = "pid")]
    uid: Option<u32>,
    /// A process that is running
    #[arg(long, value_name = "P")]
    pid: Option<u32>,
    /// For machines
    #[arg(long)]
    json: bool,
}

impl Why {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let Place { mountpoint, names } = Place::of(&self.path)?;
        let who = match (self.user, self.uid, self.pid) {
            (Some(user), ..) => Who::User(user),
            (None, Some(uid), _) => Who::Uid(uid),
            (None, None, Some(pid)) => Who::Pid(pid),
            (None, None, None) => Who::Myself,
        };
        let answer = control::ask(&mountpoint, &Request::Why { names, who })?;
        let Response::Why(explanation) = answer else {
            return Err(Failure::new(Exit::Software, "the daemon answered another question"));
        };
        let text = if self.json { json::pretty(&explanation)? } else { for_people(&explanation) };
        print(text.as_bytes())?;
        Ok(if explanation.is_allowed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn for_people(explanation: &Explanation) -> String {
    let mut text = String::new();
    let (word, may) = match explanation.decision {
        Decision::Allow => ("yes", "may"),
        Decision::Deny => ("no", "may not"),
    };
    let caller = &explanation.caller;
    let who = caller.user.as_deref().map_or_else(|| format!("uid {}", caller.uid), escaped);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{word}: {who} {may} {} {}", escaped(&explanation.action), escaped(&explanation.path));
    let _ = writeln!(text, "caller: {}", about(caller));
    text.push('\n');
    for step in &explanation.steps {
        line(&mut text, step);
    }
    if !explanation.change.is_empty() {
        text.push_str("\nto make it a yes:\n");
        for (number, change) in (1..).zip(&explanation.change) {
            let mut lines = change.lines();
            let _ = writeln!(text, "  {number}. {}", escaped(lines.next().unwrap_or_default()));
            lines.for_each(|more| {
                let _ = writeln!(text, "       {}", escaped(more));
            });
        }
    }
    text
}

fn about(caller: &CallerShown) -> String {
    let mut parts = vec![format!("uid {}, gid {}", caller.uid, caller.gid)];
    if let Some(groups) = caller.groups.as_ref().filter(|groups| !groups.is_empty()) {
        let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
        parts.push(format!("groups {}", groups.join(" ")));
    }
    let known = [
        ("pid", caller.pid.map(|pid| pid.to_string())),
        ("executable", caller.exe.clone()),
        ("unit", caller.unit.clone()),
        ("container", caller.container.clone()),
        ("control group", caller.cgroup.clone()),
    ];
    parts.extend(known.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", escaped(&value?)))));
    parts.join(", ")
}

fn line(text: &mut String, step: &Step) {
    let _ = write!(text, "  {:<4} {:<9} {}", step.says.word(), step.stage.name(), escaped(&step.text));
    if let Some(at) = &step.at {
        let _ = write!(text, ", at {}", escaped(at));
    }
    if let Some(age) = step.age {
        let _ = write!(text, ", {age} s ago");
    }
    text.push('\n');
}
