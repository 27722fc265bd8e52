//! Is there a /dev/fuse that we may open?

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;

use super::finding::Finding;

const NAME: &str = "device";
const DEVICE: &str = "/dev/fuse";

pub fn check() -> Finding {
    let is_there = match std::fs::metadata(DEVICE) {
        Ok(metadata) if !metadata.file_type().is_char_device() => {
            return Finding::problem(NAME, format!("{DEVICE} is not a device"))
                .why("something else has been put in its place")
                .mend(format!("rm {DEVICE} && mknod -m 0666 {DEVICE} c 10 229"));
        }
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::NotFound,
    };
    if !is_there {
        return missing();
    }
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => Finding::ok(NAME, format!("{DEVICE} can be opened")),
        Err(error) if error.kind() == ErrorKind::PermissionDenied && super::is_root() => {
            Finding::problem(NAME, format!("{DEVICE} may not be opened, not even by root"))
                .why("this is a container that has not been given the device")
                .mend("start the container with: --device /dev/fuse --cap-add SYS_ADMIN")
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Finding::problem(NAME, format!("{DEVICE} may not be opened by this user"))
                .why("on most distributions every user may: a mount is made through fusermount3, which checks")
                .mend(format!("chmod 0666 {DEVICE}; to keep that, a udev rule with MODE=\"0666\""))
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => missing(),
        Err(error) => Finding::problem(NAME, format!("{DEVICE} cannot be opened: {error}")),
    }
}

fn missing() -> Finding {
    Finding::problem(NAME, format!("there is no {DEVICE}"))
        .why("the kernel's module is not loaded, or this is a container that has not been given the device")
        .mend("modprobe fuse; in a container, start it with: --device /dev/fuse --cap-add SYS_ADMIN")
}
