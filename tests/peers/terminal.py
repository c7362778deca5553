"""Runs a program on a terminal of its own and types when it is asked.

usage: terminal.py PROMPT ANSWER [PROMPT ANSWER...] -- PROGRAM [ARGUMENT...]

Each ANSWER is typed, with Return behind it, when PROMPT was seen; ^C is Ctrl-C. What follows
LATE is typed 2.5 seconds later. SIGTERM is not typed: the program gets this signal. What the terminal showed goes to
standard output, and at last whether it shows what is typed. The exit code is the program's, 128 and the signal that
ended it, 124 when a prompt did not come within 20 seconds.
"""

import os
import pty
import select
import signal
import sys
import termios
import time

split = sys.argv.index("--")
asked, program = sys.argv[1:split], sys.argv[split + 1 :]
script = list(zip(asked[::2], asked[1::2]))
child, terminal = pty.fork()
if child == 0:
    # A job in the background is started with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.execv(program[0], program)
shown, seen, deadline = b"", 0, time.monotonic() + 20
while True:
    ready, _, _ = select.select([terminal], [], [], 0.1)
    if ready:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # The other side is closed.
            break
        if not read:
            break
        shown += read
    if script and (at := shown.find(script[0][0].encode(), seen)) >= 0:
        prompt, answer = script.pop(0)
        seen = at + len(prompt)
        # The program hides what is typed after it has asked.
        time.sleep(0.2)
        if answer.startswith("LATE "):
            time.sleep(2.5)
            answer = answer.removeprefix("LATE ")
        if answer == "SIGTERM":
            os.kill(child, signal.SIGTERM)
        else:
            os.write(terminal, b"\x03" if answer == "^C" else answer.encode() + b"\n")
    if time.monotonic() > deadline:
        os.kill(child, 9)
        os.waitpid(child, 0)
        sys.stdout.write(shown.decode(errors="replace"))
        sys.exit(124)
_, status = os.waitpid(child, 0)
sys.stdout.write(shown.decode(errors="replace"))
print("echo", "on" if termios.tcgetattr(terminal)[3] & termios.ECHO else "off")
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
