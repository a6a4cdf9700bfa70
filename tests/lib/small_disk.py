"""A disk of a few megabytes, to be full soon."""
import os
import subprocess

from lib.paths import bin_dir, patience


class SmallDisk:
    """A tmpfs of its own, seen by those alone that are started in it; it outlives the broker."""

    def __init__(self, start, folder, size):
        self._start, self.folder = start, folder
        self.holder = start("/usr/bin/unshare", "--mount", "--propagation", "private", "sh", "-c",
                            'mount -t tmpfs -o "size=$1" none "$2" && echo mounted && exec sleep infinity', "sh",
                            size, folder)
        self.holder.wait_for_line("mounted")

    def __call__(self, program, **options):
        return self._start("/usr/bin/nsenter", "--mount", "--target", self.holder.pid, "--", bin_dir() / program,
                           **options)

    def run(self, *command):
        return subprocess.run(["/usr/bin/nsenter", "--mount", "--target", str(self.holder.pid), "--", *map(str, command)],
                              check=True, text=True, capture_output=True, timeout=patience(20)).stdout

    def grow(self, size):
        self.run("mount", "-o", f"remount,size={size}", self.folder)


def unmountable():
    """Why no disk can be mounted here; empty when one can."""
    if os.geteuid() != 0:
        return "only root can mount a small disk"
    tried = subprocess.run(["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"],
                           capture_output=True, text=True, check=False)
    return tried.stderr.strip() or "mounting is not permitted here" if tried.returncode else ""
