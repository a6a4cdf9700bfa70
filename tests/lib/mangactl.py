"""mangactl as a program: run to its end, or begun."""
import subprocess

from lib.paths import bin_dir, patience
from lib.process import clean_environment


def environment(**extra):
    env = clean_environment({"MANGABUS_ENDPOINT": "tcp://127.0.0.1:1", **extra})
    env["PATH"] = f"{bin_dir()}:{env['PATH']}"
    return env


def _setting(words, endpoint, env):
    if endpoint:
        env["MANGABUS_ENDPOINT"] = endpoint
    return [str(bin_dir() / "mangactl"), *map(str, words)], environment(**env)


def mangactl(*words, endpoint=None, stdin="", timeout_s=30, cwd=None, stdout=subprocess.PIPE, **env):
    """Runs it to its end: a CompletedProcess with text."""
    line, settings = _setting(words, endpoint, env)
    return subprocess.run(line, env=settings, input=stdin, text=True, stdout=stdout, stderr=subprocess.PIPE,
                          timeout=patience(timeout_s), cwd=cwd, check=False)


def begin(*words, endpoint=None, **env):
    """Begins it: a Popen with text, to be waited for."""
    line, settings = _setting(words, endpoint, env)
    return subprocess.Popen(line, env=settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def at(endpoint):
    """mangactl at that broker; fails unless the exit code is the one expected."""

    def run(*words, code=0, **options):
        done = mangactl(*words, endpoint=endpoint, **options)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
