"""The sandbox, as root and as an ordinary user: each test runs it as a person would, and looks at the machine afterwards."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import pytest

from mooring import sandbox

pytestmark = pytest.mark.kernel

# A virtual environment may lie where nobody can't read it.
PYTHON = next(path for path in ("/usr/bin/python3", sys.executable) if Path(path).exists())

# Says what it was sent, and takes its time to clean up.
POLITE = """
import os, signal, sys, time
def say(text):  # not by print, which must not be interrupted by itself: the next signal may come before it has returned
    os.write(1, text.encode() + b"\\n")
def handle(number, frame):
    say("got " + signal.Signals(number).name)
    if number != signal.SIGUSR1:
        time.sleep(0.3)
        say("clean")
        sys.exit(5)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, handle)
say("up")
while True:
    time.sleep(1)
"""


@pytest.fixture(scope="module")
def script() -> Iterator[Path]:
    """sandbox.py alone, which imports nothing of mooring, where everybody can read it."""
    directory = Path(mkdtemp(prefix="sandbox-", dir="/tmp"))
    directory.chmod(0o755)
    shutil.copy(sandbox.__file__, directory)
    (directory / "sandbox.py").chmod(0o644)
    yield directory / "sandbox.py"
    shutil.rmtree(directory)


def ordinary() -> list[str]:
    """A prefix that makes a command an ordinary user's."""
    if os.geteuid() != 0:
        return []
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        # Root of a user namespace can't become somebody else, but can give up what makes it root, all but the right without which
        # the kernel lets nobody map the number 0.
        return ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--"]
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]


@pytest.fixture(params=["as we are", "ordinary"])
def sandboxed(request: pytest.FixtureRequest, script: Path) -> list[str]:
    """What stands before a command to run it in a sandbox."""
    return [*(ordinary() if request.param == "ordinary" else []), PYTHON, str(script), "--"]


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, cwd="/")


def eventually(look: Callable[[], object], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(mark: str) -> list[str]:
    """The processes that have this text among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


# ------------------------------------------------------------------------------------------------------- what is inside


def test_processes_and_run_are_private(sandboxed: list[str]) -> None:
    done = run(
        [
            *sandboxed,
            "sh",
            "-c",
            "cat /proc/1/cmdline | tr '\\0' ' '; echo; echo /run/*; echo /run/netns/*; echo $$ $MOORING_SANDBOX",
        ]
    )
    first, run_files, names, mark = done.stdout.splitlines()
    assert "sandbox.py" in first
    assert run_files == "/run/netns"
    assert names == "/run/netns/*"
    assert mark == "2 1"


def test_the_network_is_the_callers(sandboxed: list[str]) -> None:
    assert run([*sandboxed, "readlink", "/proc/self/ns/net"]).stdout.strip() == str(
        Path("/proc/self/ns/net").readlink()
    )


def test_namespaces_with_devices_can_be_made(sandboxed: list[str]) -> None:
    story = """
        for name in one two; do touch /run/netns/$name; unshare --net=/run/netns/$name true || exit 1; done
        ip -n one link add a type veth peer name b netns two && ip -n two link set b up && ip -n two -o link show b && nft list ruleset
        umount /run/netns/two && rm /run/netns/two && ls /run/netns
    """
    done = run([*sandboxed, "sh", "-c", story])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "one"


def test_a_sandbox_fits_into_a_sandbox(sandboxed: list[str]) -> None:
    done = run(
        [*sandboxed, "sh", "-c", 'touch /run/mine; "$@"; ls /run', "sh", *sandboxed[-3:], "sh", "-c", "echo /run/*"]
    )
    assert done.stdout.split() == ["/run/netns", "mine", "netns"]


def test_programs_of_root_are_found(sandboxed: list[str]) -> None:
    done = run(["env", "PATH=/usr/bin:/bin", *sandboxed, "sh", "-c", "echo $PATH"])
    assert done.stdout.strip() == "/usr/bin:/bin:/usr/sbin:/sbin"


def test_inside_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOORING_SANDBOX", raising=False)
    assert not sandbox.inside()
    monkeypatch.setenv("MOORING_SANDBOX", "1")
    assert sandbox.inside()


# ------------------------------------------------------------------------------------------------------------ its end


@pytest.mark.parametrize(
    "command, code",
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["no-such-program"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_the_exit_code_is_the_commands(sandboxed: list[str], command: list[str], code: int) -> None:
    assert run([*sandboxed, *command]).returncode == code


def test_what_the_command_leaves_running_ends_with_it(sandboxed: list[str]) -> None:
    mark = f"3141.{uuid4().int % 10**9}"
    done = run([*sandboxed, "sh", "-c", f"setsid sleep {mark} > /dev/null 2>&1 & sleep 0.1; ps ax"])
    assert mark in done.stdout
    assert running(mark) == []


def test_orphans_are_reaped(sandboxed: list[str]) -> None:
    done = run(
        [*sandboxed, "sh", "-c", "for i in 1 2 3; do sh -c '(sleep 0.05 &)'; done; sleep 0.3; ps ax -o stat,comm"]
    )
    assert "defunct" not in done.stdout
    assert done.stdout.count("sleep") == 0


@pytest.mark.parametrize("victim", ["outer", "first"])
def test_kill_9_leaves_no_process(sandboxed: list[str], victim: str) -> None:
    mark = f"3141.{uuid4().int % 10**9}"
    story = "setsid unshare --pid --mount --fork sleep $0 & sleep 0.1; echo up; sleep $0"
    with subprocess.Popen([*sandboxed, "sh", "-c", story, mark], stdout=subprocess.PIPE, text=True, cwd="/") as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "up\n"
        assert len(running(mark)) >= 4
        if victim == "outer":
            outer.kill()
        else:
            first = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0]
            os.kill(int(first), signal.SIGKILL)
        assert outer.wait(5) == (-9 if victim == "outer" else 137)
        eventually(lambda: running(mark) == [])


@pytest.fixture
def caller_network() -> Iterator[str]:
    """A network namespace for a caller of a sandbox; what lies in it can be looked at when the sandbox is gone."""
    if not sandbox.inside():
        pytest.fail(
            "this test names a namespace, and only in a sandbox: `make test`, or `mooring sandbox -- python -m pytest ...`"
        )
    name = f"/run/netns/t-{uuid4().hex[:8]}"
    Path(name).touch()
    subprocess.run(["unshare", f"--net={name}", "true"], check=True)
    yield name
    subprocess.run(["umount", name], check=True)
    Path(name).unlink()


def test_kill_9_leaves_no_namespace(script: Path, caller_network: str) -> None:
    """A veth pair ends when the namespace of one of its ends does."""
    enter = ["nsenter", f"--net={caller_network}", "--"]
    story = """
        touch /run/netns/inner && unshare --net=/run/netns/inner true &&
        ip link add outer type veth peer name inner netns inner && echo up && sleep 100
    """
    argv = [*enter, PYTHON, str(script), "--", "sh", "-c", story]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "up\n"
        assert "outer" in run([*enter, "ip", "link"]).stdout
        outer.kill()
    eventually(lambda: "outer" not in run([*enter, "ip", "link"]).stdout)


def test_a_sandbox_does_not_keep_its_callers_namespaces_alive(script: Path, caller_network: str) -> None:
    doomed = Path(f"/run/netns/t-{uuid4().hex[:8]}")
    doomed.touch()
    subprocess.run(["unshare", f"--net={doomed}", "true"], check=True)
    enter = ["nsenter", f"--net={caller_network}", "--"]
    assert (
        run(
            [*enter, "ip", "link", "add", "todoomed", "type", "veth", "peer", "name", "x", "netns", doomed.name]
        ).returncode
        == 0
    )
    with subprocess.Popen(
        [PYTHON, str(script), "--", "sh", "-c", "echo up; sleep 100"], stdout=subprocess.PIPE, text=True
    ) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "up\n"
        subprocess.run(["umount", doomed], check=True)
        doomed.unlink()
        eventually(lambda: "todoomed" not in run([*enter, "ip", "link"]).stdout)
        outer.kill()


# ------------------------------------------------------------------------------------------------------------ signals


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["process", "group"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command_once_and_it_may_clean_up(
    sandboxed: list[str], number: int, send: Callable[[int, int], None]
) -> None:
    argv = [*sandboxed, PYTHON, "-c", POLITE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd="/") as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "up\n"
        send(outer.pid, signal.SIGUSR1)
        assert outer.stdout.readline() == "got SIGUSR1\n"
        send(outer.pid, number)
        assert outer.stdout.read().split() == ["got", signal.Signals(number).name, "clean"]
        assert outer.wait() == 5


def test_ctrl_c_on_a_terminal_arrives_once(sandboxed: list[str]) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir("/")
        os.execvp(sandboxed[0], [*sandboxed, PYTHON, "-c", POLITE])  # noqa: S606
    said = b""
    try:
        while b"up\r\n" not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        while chunk := os.read(terminal, 1000):
            said += chunk
    except OSError:
        pass  # the terminal closes with its last process
    assert said.decode().split() == ["up", "^Cgot", "SIGINT", "clean"]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    os.close(terminal)


# ----------------------------------------------------------------------------------------------------------- refusals


def test_no_user_namespaces_is_said_in_one_sentence(script: Path) -> None:
    """In a user namespace of our own, where the switch is ours to turn; what is below it has no right but to obey."""
    powerless = "setpriv --bounding-set=-all --inh-caps=-all --"
    story = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {powerless} {PYTHON} {script} -- true"
    done = run(["unshare", "--user", "--map-root-user", "sh", "-c", story])
    assert done.returncode == 1
    assert done.stderr.startswith("sandbox: this machine does not let ordinary users make namespaces")
    assert "sysctl -w user.max_user_namespaces=10000" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_process_with_threads_is_refused(script: Path) -> None:
    code = (
        f"import sys, threading; sys.path.insert(0, {str(script.parent)!r}); import sandbox\n"
        "end = threading.Event(); threading.Thread(target=end.wait).start()\n"
        "try: sandbox.run(['true'])\n"
        "except sandbox.SandboxRefused as refused: print(refused)\n"
        "finally: end.set()\n"
    )
    assert "one thread" in run([PYTHON, "-c", code]).stdout


def test_no_command_is_refused() -> None:
    with pytest.raises(sandbox.SandboxRefused, match="no command"):
        sandbox.run([])


@pytest.mark.parametrize("arguments", [[], ["--"], ["true"], ["--help"]])
def test_usage(script: Path, arguments: list[str]) -> None:
    done = run([PYTHON, str(script), *arguments])
    assert done.returncode == 2
    assert "usage" in done.stderr
