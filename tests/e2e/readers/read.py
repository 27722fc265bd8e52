"""Reads files in the way named by the first argument: triples of input, output, original follow."""
import errno
import mmap
import os
import shutil
import sys
import zipfile


def whole(path, out):
    with open(path, "rb") as f:
        out.write(f.read())


def read_bytes(path, out):
    import pathlib
    out.write(pathlib.Path(path).read_bytes())


def lines(path, out):
    with open(path, "rb") as f:
        for line in f:
            out.write(line)


def unbuffered_pieces(path, out):
    with open(path, "rb", buffering=0) as f:
        while piece := f.read(997):
            out.write(piece)


def stat_then_read(path, out):
    size = os.stat(path).st_size
    fd = os.open(path, os.O_RDONLY)
    out.write(os.read(fd, size))
    os.close(fd)


def fstat_then_read(path, out):
    fd = os.open(path, os.O_RDONLY)
    out.write(os.read(fd, os.fstat(fd).st_size))
    os.close(fd)


def seek_end(path, out):
    with open(path, "rb") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(0)
        data = f.read(size)
        assert f.read() == b"", "more than its size"
        out.write(data)


def backwards(path, out):
    fd = os.open(path, os.O_RDONLY)
    end = os.lseek(fd, 0, os.SEEK_END)
    pieces = []
    while end > 0:
        start = max(0, end - 8191)
        pieces.append(os.pread(fd, end - start, start))
        end = start
    os.close(fd)
    out.write(b"".join(reversed(pieces)))


def two_descriptors(path, out):
    a = os.open(path, os.O_RDONLY)
    b = os.open(path, os.O_RDONLY)
    same = []
    while True:
        x, y = os.read(a, 5000), os.read(b, 5000)
        assert x == y, "two descriptors differ"
        if not x:
            break
        same.append(x)
    os.close(a)
    os.close(b)
    out.write(b"".join(same))


def vectors(path, out):
    fd = os.open(path, os.O_RDONLY)
    while True:
        buffers = [bytearray(1), bytearray(10), bytearray(4096), bytearray(7)]
        n = os.readv(fd, buffers)
        if n == 0:
            break
        out.write(b"".join(buffers)[:n])
    os.close(fd)


def mapped(access):
    def read(path, out):
        with open(path, "rb") as f:
            if os.fstat(f.fileno()).st_size:
                with mmap.mmap(f.fileno(), 0, access=access) as m:
                    out.write(m[:])
    return read


def sendfile(path, out):
    fd = os.open(path, os.O_RDONLY)
    out.flush()
    offset = 0
    while n := os.sendfile(out.fileno(), fd, offset, 100_000):
        offset += n
    os.close(fd)


def splice(path, out):
    fd = os.open(path, os.O_RDONLY)
    out.flush()
    r, w = os.pipe()
    while n := os.splice(fd, w, 30_000):
        while n:
            n -= os.splice(r, out.fileno(), n)
    for x in (fd, r, w):
        os.close(x)


def copy_file_range(path, out):
    fd = os.open(path, os.O_RDONLY)
    out.flush()
    try:
        while os.copy_file_range(fd, out.fileno(), 100_000):
            pass
    except OSError as error:
        # Kernels refuse it between file systems of two kinds, and then programs read.
        if error.errno != errno.EXDEV:
            raise
        out.write(os.read(fd, 2_000_000))
    os.close(fd)


def copyfile(path, out):
    shutil.copyfile(path, out.name)


def zipped(path, out):
    with zipfile.ZipFile(out.name + ".zip", "w") as z:
        z.write(path, "x")
    with zipfile.ZipFile(out.name + ".zip") as z:
        out.write(z.read("x"))


WAYS = {
    "whole": whole,
    "read_bytes": read_bytes,
    "lines": lines,
    "unbuffered_pieces": unbuffered_pieces,
    "stat_then_read": stat_then_read,
    "fstat_then_read": fstat_then_read,
    "seek_end": seek_end,
    "backwards": backwards,
    "two_descriptors": two_descriptors,
    "vectors": vectors,
    "mmap_shared": mapped(mmap.ACCESS_READ),
    "mmap_private": mapped(mmap.ACCESS_COPY),
    "sendfile": sendfile,
    "splice": splice,
    "copy_file_range": copy_file_range,
    "copyfile": copyfile,
    "zipped": zipped,
}

arguments = sys.argv[2:]
for source, target, _ in zip(arguments[::3], arguments[1::3], arguments[2::3]):
    with open(target, "wb") as out:
        WAYS[sys.argv[1]](source, out)
