"""Connects to each address given as tcp/ADDRESS/PORT or udp/ADDRESS/PORT, and prints what answers.

`bind/ADDRESS/PORT` listens there instead, and goes on listening; `name/NAME` looks a name up as
most programs do.
"""

import errno
import socket
import sys

kept = []


def answer(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if kind == "name":
        flags = socket.AI_ADDRCONFIG
        found = socket.getaddrinfo(address, None, socket.AF_INET, socket.SOCK_STREAM, 0, flags)
        return found[0][4][0]
    if kind == "bind":
        listener = socket.socket(family)
        listener.bind((address, port))
        listener.listen()
        kept.append(listener)
        return "bound"
    type_ = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    stream = socket.socket(family, type_)
    # What hangs is as good as a failure.
    stream.settimeout(5)
    stream.connect((address, port))
    if kind == "udp":
        stream.send(b"?")
        return stream.recv(99).decode()
    if any(listener.getsockname()[1] == port for listener in kept):
        return "own server"
    return stream.makefile().read().strip()


for asked in sys.argv[1:]:
    kind, address, port = (asked.split("/") + ["0"])[:3]
    try:
        said = answer(kind, address, int(port))
    except TimeoutError:
        said = "timeout"
    except socket.gaierror as error:
        said = "gaierror %d" % error.errno
    except OSError as error:
        said = errno.errorcode.get(error.errno, str(error))
    print(asked, said, flush=True)
