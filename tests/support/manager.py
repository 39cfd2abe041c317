"""A service manager as far as sockets go: it holds them, and starts a program again when it ends.

manager.py PAUSE ADDRESS:PORT... -- PROGRAM ARGUMENT...

Prints `started PID` each time; PAUSE is the time between an end and the next start, in seconds.
"""
import fcntl
import os
import socket
import sys
import time

split = sys.argv.index("--")
pause, addresses, program = float(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
held = []
for address in addresses:
    host, port = address.rsplit(":", 1)
    listener = socket.create_server((host, int(port)))
    # Above the numbers that the program finds them under.
    held.append(fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 100))
    listener.close()
while True:
    pid = os.fork()
    if pid == 0:
        for number, descriptor in enumerate(held, 3):
            os.dup2(descriptor, number)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(held)))
        # It does not outlive its manager.
        os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "--", *program])
    print("started", pid, flush=True)
    os.waitpid(pid, 0)
    time.sleep(pause)
