# Ways to read a file that is not to be read: argv[1], a copy of true(1) with a secret at its end.
# Prints the names of those that saw the secret, or executed it.
import ctypes, mmap, os, signal, subprocess, sys

LIBC = ctypes.CDLL(None, use_errno=True)
VICTIM, SECRET = sys.argv[1], sys.argv[2].encode()
ATTACKS = {}


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def content(path):
    with open(path, "rb") as file:
        return file.read()


@attack
def read():
    return content(VICTIM)


@attack
def through_proc_root():
    return content("/proc/self/root" + VICTIM)


@attack
def through_the_root_of_pid_1():
    try:
        return content("/proc/1/root" + VICTIM)
    except PermissionError:
        return content("/proc/thread-self/root" + VICTIM)


@attack
def by_o_path():
    fd = os.open(VICTIM, os.O_PATH)
    return content("/proc/self/fd/%d" % fd)


@attack
def by_directory():
    fd = os.open(os.path.dirname(VICTIM), os.O_PATH)
    os.fchdir(fd)
    return content(os.path.basename(VICTIM))


@attack
def through_a_link():
    os.symlink(VICTIM, "read-link")
    return content("read-link")


@attack
def memory():
    fd = os.open(VICTIM, os.O_RDONLY)
    return mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)[:]


@attack
def another_program():
    return subprocess.run(["cat", VICTIM], stdout=-1, stderr=-3).stdout


@attack
def sendfile():
    source = os.open(VICTIM, os.O_RDONLY)
    target = os.open("/tmp/copy", os.O_CREAT | os.O_WRONLY)
    os.sendfile(target, source, 0, 1 << 20)
    return content("/tmp/copy")


@attack
def execute():
    return SECRET if subprocess.run([VICTIM]).returncode == 0 else b""


@attack
def execute_by_the_loader():
    loader = [path for path in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
              if os.path.exists(path)]
    return SECRET if subprocess.run(loader + [VICTIM], stderr=-3).returncode == 0 else b""


@attack
def execute_by_descriptor():
    pid = os.fork()
    if pid == 0:
        os.execve(os.open(VICTIM, os.O_PATH), ["true"], {})
    return SECRET if os.wait()[1] == 0 else b""


for name, function in ATTACKS.items():
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            if SECRET in function():
                print(name)
        except (OSError, ValueError):
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
