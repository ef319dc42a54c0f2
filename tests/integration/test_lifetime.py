"""What a process owes its fans at exit and after a fork, in processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from time import monotonic
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE = """
import os, sys, threading, time
from streamfan import AsyncSink, Fan, LaneOptions, Sink, UsageError

class Out(Sink):
    name = "out"
    def write(self, chunk):
        os.write(1, b"write " + chunk.data + b"\\n")
    def close(self, stream, end):
        os.write(1, f"close {end.finish_reason} {end.complete}\\n".encode())
    def disconnect(self):
        os.write(1, b"disconnect\\n")

class Hung(Sink):
    name = "hung"
    def write(self, chunk):
        threading.Event().wait()
"""


def run(script: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELUDE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_fan_that_nobody_closed_delivers_at_exit() -> None:
    done = run(
        """
        fan = Fan(Out())
        fan.add(Out(), id="lingering", lane=LaneOptions(linger=3600))
        stream = fan.open()
        stream.write("a")
        stream.write("b")
        """
    )

    assert sorted(done.stdout.split("\n")[:-1]).count("close error True") == 2
    assert done.stdout.count("disconnect") == 2
    assert done.stdout.replace("write ", "").replace("\n", "").count("b") == 2
    assert (done.returncode, done.stderr) == (0, "")


def test_hung_sink_does_not_keep_the_interpreter_alive_and_is_told_of_last() -> None:
    done = run(
        """
        from streamfan import lifetime
        lifetime._EXIT_TIMEOUT = 0.3
        fan = Fan(Hung(), Out())
        with fan.open() as stream:
            stream.write("text")
        """
    )

    assert done.returncode == 0
    assert done.stdout.endswith("close stop True\ndisconnect\n")
    assert "write() has not returned" in done.stderr
    assert done.stderr.splitlines()[-1] == "sink 'hung': 4 bytes were not delivered before the program ended"


def test_what_is_missing_at_exit_is_not_told_of_a_fan_that_was_closed() -> None:
    done = run(
        """
        fan = Fan(close_timeout=0.2)
        fan.add(Hung(), lane=LaneOptions(call_timeout=0.1))
        with fan.open() as stream:
            stream.write("text")
        fan.close()
        """
    )

    assert done.returncode == 0
    assert "before the program ended" not in done.stderr


def test_slow_sink_has_all_the_time_there_is_at_exit_and_no_more() -> None:
    begun = monotonic()

    done = run(
        """
        class Slow(Out):
            name = "slow"
            def write(self, chunk):
                time.sleep(0.05)

        fan = Fan(Out())
        fan.add(Slow(), lane=LaneOptions(max_bytes=4))
        with fan.open() as stream:
            stream.write("x" * 4000)
        """
    )

    assert done.returncode == 0
    assert 3.5 < monotonic() - begun < 12
    assert "close stop True" in done.stdout, "the one that is well"
    assert "close stop False" in done.stdout, "the one that was not given everything"
    assert re.fullmatch(
        r"sink 'slow': \d,\d{3} bytes were not delivered before the program ended", done.stderr.splitlines()[-1]
    )


def test_hung_sinks_of_several_fans_share_one_deadline_at_exit() -> None:
    done = run(
        """
        from streamfan import lifetime
        lifetime._EXIT_TIMEOUT = 1.0
        for _ in range(20):
            fan = Fan(Hung())
            fan.open().write("text")
        """,
        timeout=15,
    )

    assert done.returncode == 0
    assert done.stderr.count("write() has not returned") == 20


def test_exception_that_ends_the_program_still_delivers() -> None:
    done = run(
        """
        with Fan(Out()) as fan, fan.open() as stream:
            stream.write("partial")
            raise ValueError("model broke")
        """
    )

    assert "write partial\nclose error True\ndisconnect\n" in done.stdout
    assert "model broke" in done.stderr


def test_forked_child_closes_nothing_of_its_parent() -> None:
    done = run(
        """
        fan = Fan(Out())
        stream = fan.open()
        stream.write("before ")
        child = os.fork()
        if child == 0:
            fan.close()
            sys.exit(0)
        os.waitpid(child, 0)
        stream.write("after")
        stream.end()
        fan.close()
        """
    )

    assert done.stdout.count("disconnect") == 1
    assert done.stdout.count("close stop True") == 1
    assert done.stdout.replace("write ", "").replace("\n", "").startswith("before after")
    assert done.stderr == ""


def test_forked_child_is_told_to_make_its_own_fan() -> None:
    done = run(
        """
        fan = Fan(Out())
        if os.fork() == 0:
            try:
                fan.open()
            except UsageError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        """
    )

    assert "this fan belongs to process" in done.stdout
    assert "make a Fan after the fork" in done.stdout


def test_reader_in_a_forked_child_does_not_wait_for_ever() -> None:
    done = run(
        """
        fan = Fan()
        stream = fan.open()
        stream.write("text")
        if os.fork() == 0:
            try:
                print("".join(stream))
            except Exception as error:
                print(type(error).__name__, flush=True)
            os._exit(0)
        os.wait()
        stream.end()
        """
    )

    assert done.stdout == "StreamFailed\n"


def test_forked_child_waits_for_no_generation_of_its_parent() -> None:
    done = run(
        """
        class Tokenizer:
            def decode(self, ids, **kwargs):
                return "".join(map(chr, ids))

        class Prompt:
            shape = (1, 1)

        class Model:
            def generate(self, **arguments):
                started.set()
                threading.Event().wait()

        started = threading.Event()
        with Fan() as fan:
            generation = fan.start(Model(), Tokenizer(), Prompt())
            started.wait()
            if os.fork() != 0:
                os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
            for ask in (generation.wait, generation.result, lambda: generation.streams):
                try:
                    ask()
                except UsageError as error:
                    print(str(error).replace(str(os.getppid()), "N").splitlines()[0], flush=True)
        """
    )

    assert done.stdout.splitlines() == ["this generation belongs to process N"] * 3
    assert (done.returncode, done.stderr) == (0, "")


FORKING = """
class Forking(Sink):
    name = "forking"
    def write(self, chunk):
        fork()

class AsyncForking(AsyncSink):
    name = "asyncforking"
    async def awrite(self, chunk):
        fork()

def fork():
    child = os.fork()
    if child == 0:
        sys.stdout.write("in the child, ")
        leave()
        return
    status = os.waitpid(child, 0)[1]
    os.write(1, f"which ends with {os.waitstatus_to_exitcode(status)}".encode())
"""


@pytest.mark.parametrize(("leave", "code"), [("pass", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("1 // 0", 1)])
@pytest.mark.parametrize(
    "where",
    [
        "fan.add(Forking())",
        "fan.add(AsyncForking())",
        "fan.add(lambda text, end: end or fork())",
        "stream.on_end(fork)",
        "fan.observe(lambda *_: fork())",
    ],
)
def test_child_that_foreign_code_forks_ends_as_that_wanted(where: str, leave: str, code: int) -> None:
    script = f"""
def leave():
    {leave}

with Fan() as fan, fan.open() as stream:
    {where}
    stream.write("text")
fan.report.raise_for_failures()
"""

    done = run(FORKING + script)

    assert done.stdout == f"in the child, which ends with {code}"
    assert (done.returncode, "ZeroDivisionError" in done.stderr) == (0, code == 1)


def test_fork_while_another_thread_writes_does_not_lock_up_the_child(tmp_path: Path) -> None:
    done = run(
        """
        fan = Fan()
        stream = fan.open()
        stop = threading.Event()
        def write():
            while not stop.is_set():
                stream.write("x")
        threading.Thread(target=write, daemon=True).start()
        for _ in range(30):
            child = os.fork()
            if child == 0:
                repr(fan.report)
                stream.cancel()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        print("done")
        """
    )

    assert done.stdout == "done\n", done.stderr


def test_children_of_one_process_never_choose_the_same_id() -> None:
    done = run(
        """
        for _ in range(3):
            if os.fork() == 0:
                with Fan() as fan, fan.open() as stream:
                    os.write(1, stream.id.rpartition("-")[2].encode() + b"\\n")
                os._exit(0)
        for _ in range(3):
            os.wait()
        """
    )

    assert len(set(done.stdout.split())) == 3


@pytest.mark.parametrize("lock", ["streamfan.plugins.plugins()._lock", "streamfan.attempts._lock"])
def test_lock_that_another_thread_holds_at_a_fork_does_not_hold_up_the_child(lock: str) -> None:
    done = run(
        f"""
        import streamfan.attempts, streamfan.plugins
        held = threading.Event()
        def hold():
            with {lock}:
                held.set()
                threading.Event().wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        child = os.fork()
        if child == 0:
            with Fan("file:/dev/null") as fan, fan.open() as stream:
                stream.write("text")
            os._exit(len(fan.report.failures))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        os._exit(0)
        """
    )

    assert done.stdout == "0\n"


# Processes that a program starts

WORKER = """
def work(number):
    fan = Fan(f"file:{number}.txt")
    stream = fan.open()
    stream.write("from " + stream.id)
    stream.end()
    # Not closed: this process ends as its program has forgotten to say.
    return fan

"""


def run_file(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a program that is a file: what multiprocessing spawns imports it again."""
    program = folder / "program.py"
    program.write_text(PRELUDE + WORKER + textwrap.dedent(script), encoding="utf-8")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(program)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)


def written(folder: Path) -> list[str]:
    """What the workers' files hold."""
    return [(folder / f"{number}.txt").read_text() for number in range(4)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_of_multiprocessing_has_a_fan_of_its_own_and_delivers_at_its_end(tmp_path: Path, method: str) -> None:
    done = run_file(
        tmp_path,
        f"""
        import multiprocessing

        if __name__ == "__main__":
            fan = Fan(Out())
            stream = fan.open()
            stream.write("before ")
            context = multiprocessing.get_context("{method}")
            children = [context.Process(target=work, args=(number,)) for number in range(4)]
            for child in children:
                child.start()
            for child in children:
                child.join()
            stream.write("after")
            stream.end()
            fan.close()
            sys.exit(max(child.exitcode for child in children))
        """,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace("write ", "").replace("\n", "") == "before afterclose stop Truedisconnect"
    assert all(text.startswith("from ") for text in written(tmp_path))
    assert len(set(written(tmp_path))) == 4, "no two streams have the same id"


def test_pool_of_processes_delivers_what_its_workers_left_open(tmp_path: Path) -> None:
    done = run_file(
        tmp_path,
        """
        from concurrent.futures import ProcessPoolExecutor

        def job(number):
            work(number)

        if __name__ == "__main__":
            with ProcessPoolExecutor(2) as pool:
                list(pool.map(job, range(4)))
        """,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert all(text.startswith("from ") for text in written(tmp_path))


@pytest.mark.parametrize("leave", ["sys.exit(0)", "fan.close(); os._exit(0)"])
def test_workers_of_a_prefork_server_have_fans_of_their_own(tmp_path: Path, leave: str) -> None:
    done = run_file(
        tmp_path,
        f"""
        # As gunicorn does it: the application is loaded, and its fan made, before the workers are forked.
        application = Fan(Out())
        stream = application.open()
        stream.write("before ")
        workers = []
        for number in range(4):
            if (pid := os.fork()) == 0:
                for call in (application.open, lambda: application.add(Out(), id="more")):
                    try:
                        call()
                    except UsageError:
                        pass
                    else:
                        os._exit(7)
                application.close()
                assert application.report.sinks == (), application.report
                fan = work(number)
                {leave}
            workers.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
        stream.write("after")
        stream.end()
        application.close()
        sys.exit(max(codes))
        """,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace("write ", "").replace("\n", "") == "before afterclose stop Truedisconnect"
    assert all(text.startswith("from ") for text in written(tmp_path))
    assert len(set(written(tmp_path))) == 4, "no two streams have the same id"


def test_child_counts_nothing_of_its_parent() -> None:
    done = run(
        """
        with Fan(Out()) as fan:
            with fan.open() as stream:
                stream.write("text", [1])
            fan.open().write("more")
            while fan.report.metrics.running != 1:
                time.sleep(0.01)
            if os.fork() == 0:
                metrics = fan.report.metrics
                counted = (metrics.running, metrics.bytes, sum(each.count for each in metrics.ended))
                # In one piece: the parent's sink writes too.
                os.write(1, f"counted {counted}\\n".encode())
                os._exit(0)
            os.wait()
        """
    )

    assert "counted (0, 0, 0)\n" in done.stdout


def test_signal_handler_may_cancel_whatever_it_has_interrupted() -> None:
    done = run(
        """
        import signal
        fan = Fan()
        streams = [fan.open() for _ in range(50)]

        def cancel(*_):
            fan.cancel("enough")
            signal.setitimer(signal.ITIMER_REAL, 0.0003)

        signal.signal(signal.SIGALRM, cancel)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            # What it may be in the middle of.
            fan.cancel("enough")
            fan.report
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("done", flush=True)
        os._exit(0)
        """,
        timeout=20,
    )

    assert done.stdout == "done\n", done.stderr
