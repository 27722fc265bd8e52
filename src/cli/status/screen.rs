//! A terminal's other screen, and the way back.

use std::io::{self, ErrorKind, IsTerminal, Write};

use rustix::termios::tcgetwinsize;

/// Where frames go: over each other on a terminal, else one after the other.
pub struct Screen {
    is_terminal: bool,
}

impl Screen {
    pub fn open() -> io::Result<Self> {
        let screen = Self { is_terminal: io::stdout().is_terminal() };
        if screen.is_terminal {
            // The other screen, without cursor, and long lines are cut.
            write("\x1b[?1049h\x1b[?25l\x1b[?7l")?;
        }
        Ok(screen)
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// False once nobody reads any more.
    pub fn show(&self, text: &str) -> io::Result<bool> {
        let written = if self.is_terminal {
            let rows = tcgetwinsize(io::stdout()).map_or(u16::MAX, |size| size.ws_row.max(1));
            let lines: Vec<&str> = text.lines().take(usize::from(rows)).collect();
            write(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")))
        } else {
            write(text)
        };
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write("\x1b[?7h\x1b[?25h\x1b[?1049l");
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
