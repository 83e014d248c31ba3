# Attacks on directories that must not change. Each gets one of its own below argv[1], with `file`,
# `other`, `directory/below` in it; argv[2:] are the names of attacks. Nothing is said about how it
# went: that is judged from outside.
import ctypes, fcntl, mmap, os, signal, socket, struct, sys

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
ATTACKS = {}


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def append(path, flags=0):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | flags)
    os.write(fd, b"escaped")
    os.close(fd)


@attack
def create(v):
    os.close(os.open(v + "/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY))


@attack
def append_to_a_file(v):
    append(v + "/file")


@attack
def truncate(v):
    os.truncate(v + "/file", 0)


@attack
def truncate_while_reading(v):
    os.open(v + "/file", os.O_RDONLY | os.O_TRUNC)


@attack
def unlink(v):
    os.unlink(v + "/file")


@attack
def rename(v):
    os.rename(v + "/file", v + "/renamed")


@attack
def rename_over(v):
    os.rename(v + "/other", v + "/file")


@attack
def exchange(v):
    LIBC.renameat2(AT_FDCWD, (v + "/file").encode(), AT_FDCWD, (v + "/directory").encode(), 2)


@attack
def make_directory(v):
    os.mkdir(v + "/new")


@attack
def remove_directory(v):
    os.unlink(v + "/directory/below")
    os.rmdir(v + "/directory")


@attack
def make_link(v):
    os.symlink("/etc/passwd", v + "/new")


@attack
def make_hard_link(v):
    os.link(v + "/file", v + "/new")


@attack
def make_fifo(v):
    os.mkfifo(v + "/new")


@attack
def make_socket(v):
    os.chdir(v)
    socket.socket(socket.AF_UNIX).bind("new")


@attack
def make_whiteout(v):
    os.mknod(v + "/new", 0o020600, 0)


@attack
def unnamed_file(v):
    fd = os.open(v, os.O_TMPFILE | os.O_RDWR, 0o600)
    path = b"/proc/self/fd/%d" % fd
    LIBC.linkat(AT_FDCWD, path, AT_FDCWD, (v + "/new").encode(), 0x400)


@attack
def shared_memory(v):
    fd = os.open(v + "/file", os.O_RDWR)
    memory = mmap.mmap(fd, 4, mmap.MAP_SHARED)
    memory[:4] = b"evil"
    memory.flush()


@attack
def open_the_read_only_again(v):
    fd = os.open(v + "/file", os.O_RDONLY)
    append("/proc/self/fd/%d" % fd)


@attack
def open_by_o_path(v):
    fd = os.open(v + "/file", os.O_PATH)
    append("/proc/self/fd/%d" % fd)


@attack
def open_by_dev_fd(v):
    fd = os.open(v, os.O_PATH | os.O_DIRECTORY)
    append("/dev/fd/%d/file" % fd)


@attack
def through_proc_root(v):
    append("/proc/self/root" + v + "/file")


@attack
def through_the_root_of_another(v):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        append("/proc/%d/root%s/file" % (pid, v))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@attack
def through_proc_cwd(v):
    os.chdir(v)
    append("/proc/thread-self/cwd/file")


@attack
def by_dot_dot(v):
    fd = os.open(v + "/directory", os.O_RDONLY | os.O_DIRECTORY)
    os.close(os.open("../new", os.O_CREAT | os.O_WRONLY, dir_fd=fd))


@attack
def through_a_link_of_the_project(v):
    os.symlink(v, "link-to-victim")
    append("link-to-victim/file")


@attack
def by_a_magic_link_in_a_link(v):
    fd = os.open(v, os.O_PATH)
    os.symlink("/proc/self/fd/%d" % fd, "magic-link")
    append("magic-link/file")


@attack
def handle(v):
    buffer = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + b"\0" * 128, 136)
    mount = ctypes.c_int()
    LIBC.name_to_handle_at(AT_FDCWD, (v + "/file").encode(), buffer, ctypes.byref(mount), 0)
    at = os.open("/", os.O_RDONLY)
    fd = LIBC.open_by_handle_at(at, buffer, os.O_WRONLY | os.O_APPEND)
    if fd >= 0:
        os.write(fd, b"escaped")
    append(v + "/file")


@attack
def remount(v):
    for place in (v, os.path.dirname(v), "/"):
        LIBC.mount(None, place.encode(), None, 0x20 | 0x1000, None)  # MS_REMOUNT | MS_BIND
    append(v + "/file")


@attack
def mount_attributes(v):
    # mount_setattr(AT_FDCWD, victim, AT_RECURSIVE, clear MOUNT_ATTR_RDONLY)
    attributes = struct.pack("QQQQ", 0, 1, 0, 0)
    LIBC.syscall(442, AT_FDCWD, v.encode(), 0x8000, attributes, len(attributes))
    append(v + "/file")


@attack
def unmount(v):
    for flags in (0, 2, 8):  # MNT_DETACH, UMOUNT_NOFOLLOW
        LIBC.umount2(os.path.dirname(v).encode(), flags)
    append(v + "/file")


@attack
def clone_of_the_tree(v):
    fd = LIBC.syscall(428, AT_FDCWD, v.encode(), 1)  # open_tree, OPEN_TREE_CLONE
    if fd >= 0:
        LIBC.syscall(442, fd, b"", 0x1000, struct.pack("QQQQ", 0, 1, 0, 0), 32)
        LIBC.syscall(429, fd, b"", AT_FDCWD, b"/tmp", 4)  # move_mount
    append("/tmp/file" if os.path.exists("/tmp/file") else v + "/file")


@attack
def namespace_of_ones_own(v):
    if LIBC.unshare(0x10000000 | 0x00020000) == 0:  # CLONE_NEWUSER | CLONE_NEWNS
        LIBC.mount(None, v.encode(), None, 0x20 | 0x1000, None)
    append(v + "/file")


@attack
def change_root(v):
    LIBC.chroot(v.encode())
    os.chdir(v)
    LIBC.syscall(155, b".", b".")  # pivot_root
    append(v + "/file")


@attack
def mode(v):
    os.chmod(v + "/file", 0o777)


@attack
def mode_by_descriptor(v):
    os.fchmod(os.open(v + "/file", os.O_RDONLY), 0o2755)


@attack
def times(v):
    os.utime(v + "/file", (1, 1))


@attack
def times_by_o_path(v):
    fd = os.open(v + "/file", os.O_PATH)
    os.utime("/proc/self/fd/%d" % fd, (1, 1))


@attack
def extended_attribute(v):
    os.setxattr(v + "/file", b"user.escaped", b"1")


@attack
def access_list(v):
    # version 2; owner rw-, this user by name rwx, group r--, mask rwx, others r--
    entries = [(1, 6, -1), (2, 7, os.getuid()), (4, 4, -1), (16, 7, -1), (32, 4, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(v + "/file", b"system.posix_acl_access", acl)


@attack
def flags(v):
    fd = os.open(v + "/file", os.O_RDONLY)
    old = struct.unpack("l", fcntl.ioctl(fd, 0x80086601, b"\0" * 8))[0]  # FS_IOC_GETFLAGS
    fcntl.ioctl(fd, 0x40086602, struct.pack("l", old | 0x40))  # FS_IOC_SETFLAGS, nodump


for name in sys.argv[2:]:
    if os.fork() == 0:
        try:
            ATTACKS[name](os.path.join(sys.argv[1], name))
        except (OSError, ValueError):
            pass
        os._exit(0)
    _, status = os.wait()
    assert status == 0, (name, status)
