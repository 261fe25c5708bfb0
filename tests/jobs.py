"""Runs commands at the same time, since most of them wait most of the time.

Reads lines "TITLE<tab>COMMAND" from standard input, starts the commands in this order with bash, and prints a line for
each one that ends. The output of a command that fails is printed in whole. Fails if a command fails or hangs.

    python3 tests/jobs.py WORKERS SECONDS < jobs
"""

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time

running = set()


def kill(process):
    """Kills a command and the processes that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end(*_):
    for process in list(running):
        kill(process)
    os._exit(1)


def run(job, seconds):
    title, command = job
    start = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    running.add(process)
    try:
        output, _ = process.communicate(timeout=seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        kill(process)
        output, _ = process.communicate()
        code = f"no end within {seconds} s"
    running.discard(process)
    return title, time.monotonic() - start, code, output


def main():
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    workers, seconds = int(sys.argv[1]), int(sys.argv[2])
    jobs = [line.rstrip("\n").split("\t", 1) for line in sys.stdin if line.strip()]
    failed = []
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for ended in concurrent.futures.as_completed([pool.submit(run, job, seconds) for job in jobs]):
            title, took, code, output = ended.result()
            passed = sum(int(count) for count in re.findall(r"^test result: .* (\d+) passed", output, re.M))
            tests = f", {passed} tests" if passed else ""
            print(f"{'ok' if code == 0 else 'FAILED'}: {title} ({took:.0f} s{tests})", flush=True)
            if code != 0:
                failed.append(title)
                print(f"{output.rstrip()}\n-- {title} ended with {code}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(jobs)} failed: {', '.join(failed)}")


main()
