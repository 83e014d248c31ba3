/* Both ends of what the benchmark of the network measures. The client prints one number, measured by
 * itself: a rate per second, or nanoseconds. A server is outside, and may be in another network.
 *
 *   net serve ADDRESS PORT
 *   net down|up TARGET PORT STREAMS BYTES     bytes per second, over all streams together
 *   net connections TARGET PORT CLIENTS TOTAL new ones per second, each with one byte there and back
 *   net byte TARGET PORT COUNT                the same, one after the other: the median in ns
 *   net ask-byte TARGET PORT COUNT            with a question to the DNS before each
 *   net hold TARGET PORT COUNT idle|read|unread MARK
 *                                             holds connections from when it makes the file MARK until
 *                                             somebody removes it
 *
 * A TARGET that is no address is asked for, of the name server of resolv.conf. Where there is an
 * HTTPS_PROXY, it is told the TARGET instead. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char block[256 * 1024];

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void all(int fd, const void *from, size_t size)
{
    for (const char *at = from; size > 0;) {
        ssize_t written = write(fd, at, size);
        if (written <= 0)
            fail("write");
        at += written;
        size -= written;
    }
}

static struct sockaddr_in at(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        to.sin_addr.s_addr = 0;
    return to;
}

static void send_bytes(int fd, long long count)
{
    while (count > 0) {
        size_t size = count < (long long)sizeof block ? (size_t)count : sizeof block;
        all(fd, block, size);
        count -= size;
    }
}

static void take_bytes(int fd, long long count)
{
    while (count > 0) {
        ssize_t got = read(fd, block, sizeof block);
        if (got == 0) {
            fprintf(stderr, "it ended %lld bytes too early\n", count);
            _exit(1);
        }
        if (got < 0)
            fail("read");
        count -= got;
    }
}

/* ---- the server: a word is `1` for a byte back, `d` or `u` with a number for bytes ---- */

/* Bytes, in a process of their own. */
static void carry(int fd, char word)
{
    long long count;
    if (fork() != 0) {
        close(fd);
        return;
    }
    if (read(fd, &count, sizeof count) != sizeof count)
        _exit(1);
    if (word == 'd') {
        send_bytes(fd, count);
    } else {
        take_bytes(fd, count);
        all(fd, "1", 1);
    }
    _exit(0);
}

static _Noreturn void serve(const char *address, const char *port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, events = epoll_create1(0);
    struct sockaddr_in here = at(address, port);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096))
        fail("listen");
    epoll_ctl(events, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        if (epoll_wait(events, &event, 1, -1) != 1)
            continue;
        int fd = event.data.fd;
        char word;
        if (fd == listener) {
            event.data.fd = accept(listener, NULL, NULL);
            setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            epoll_ctl(events, EPOLL_CTL_ADD, event.data.fd, &event);
        } else if (read(fd, &word, 1) != 1) {
            close(fd);
        } else if (word == '1') {
            if (write(fd, &word, 1) != 1)
                close(fd);
        } else {
            epoll_ctl(events, EPOLL_CTL_DEL, fd, NULL);
            carry(fd, word);
        }
    }
}

/* ---- the client ---- */

/* The address of a name, as a resolver that keeps nothing asks for it. */
static struct in_addr ask(const char *name)
{
    static struct sockaddr_in server;
    unsigned char message[512] = {7, 7, 1, 0, 0, 1};
    size_t size = 12;
    if (server.sin_family == 0) {
        char line[256], address[64] = "";
        FILE *file = fopen("/etc/resolv.conf", "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            if (sscanf(line, "nameserver %63s", address) == 1)
                break;
        server = at(address, "53");
    }
    for (const char *label = name; *label != 0;) {
        size_t length = strcspn(label, ".");
        message[size++] = length;
        memcpy(message + size, label, length);
        size += length;
        label += length + (label[length] == '.');
    }
    memcpy(message + size, "\0\0\1\0\1", 5);
    size += 5;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct in_addr found;
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect to the name server");
    all(fd, message, size);
    ssize_t got = recv(fd, message, sizeof message, 0);
    /* The only answer is the last thing in the message, unless something stands behind it. */
    if (got < (ssize_t)size + 16 || message[7] != 1)
        fail("the name server's answer");
    memcpy(&found, message + size + 12, 4);
    close(fd);
    return found;
}

static const char *proxy_text;

/* Says a CONNECT to the proxy, with the user of its URL. */
static void through_proxy(int fd, const char *target, const char *port)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[1024], user[400] = "", coded[600] = "";
    size_t size, done = 0;
    const char *end = strchr(proxy_text, '@');
    if (end != NULL) {
        size_t length = end - proxy_text;
        memcpy(user, proxy_text, length < 300 ? length : 300);
        for (size_t i = 0, o = 0; user[i] != 0; i += 3) {
            size_t left = strlen(user + i);
            unsigned long v = (unsigned char)user[i] << 16;
            v |= left > 1 ? (unsigned char)user[i + 1] << 8 : 0;
            v |= left > 2 ? (unsigned char)user[i + 2] : 0;
            for (int part = 0; part < 4; part++)
                coded[o++] = (size_t)part > left ? '=' : letters[v >> (18 - 6 * part) & 63];
        }
    }
    size = snprintf(text, sizeof text, "CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n%s%s%s\r\n",
                    target, port, target, port, end ? "Proxy-Authorization: Basic " : "", coded,
                    end ? "\r\n" : "");
    all(fd, text, size);
    while (done < 4 || memcmp(text + done - 4, "\r\n\r\n", 4) != 0) {
        if (done == sizeof text || read(fd, text + done, 1) != 1)
            fail("the proxy's answer");
        done++;
    }
    if (memcmp(text + 9, "200", 3) != 0) {
        fprintf(stderr, "%.*s\n", (int)done, text);
        _exit(1);
    }
}

static struct sockaddr_in resolve(const char *target, const char *port)
{
    struct sockaddr_in to = at(target, port);
    if (proxy_text != NULL) {
        const char *behind = strchr(proxy_text, '@');
        char host[64] = "", number[16] = "";
        sscanf(behind != NULL ? behind + 1 : proxy_text, "%63[^:]:%15[0-9]", host, number);
        return at(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, number);
    }
    if (to.sin_addr.s_addr == 0)
        to.sin_addr = ask(target);
    return to;
}

static int dial(struct sockaddr_in to, const char *target, const char *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (proxy_text != NULL)
        through_proxy(fd, target, port);
    return fd;
}

/* A new connection, and one byte there and back. */
static void one_byte(struct sockaddr_in to, const char *target, const char *port)
{
    char word = '1';
    int fd = dial(to, target, port);
    all(fd, &word, 1);
    if (read(fd, &word, 1) != 1)
        fail("the byte");
    close(fd);
}

static void stream(struct sockaddr_in to, char **argv, long long bytes)
{
    int fd = dial(to, argv[2], argv[3]);
    all(fd, argv[1], 1);
    all(fd, &bytes, sizeof bytes);
    if (argv[1][0] == 'd') {
        take_bytes(fd, bytes);
    } else {
        send_bytes(fd, bytes);
        take_bytes(fd, 1);
    }
    close(fd);
}

static void some_bytes(struct sockaddr_in to, char **argv, long long count)
{
    while (count-- > 0)
        one_byte(to, argv[2], argv[3]);
}

/* By so many processes, each with its part of the whole; per second. */
static double rate(struct sockaddr_in to, char **argv,
                   void (*part)(struct sockaddr_in, char **, long long))
{
    long clients = atol(argv[4]);
    long long total = atoll(argv[5]), start = now();
    for (long client = 0; client < clients; client++) {
        if (fork() != 0)
            continue;
        part(to, argv, total * (client + 1) / clients - total * client / clients);
        _exit(0);
    }
    for (long client = 0; client < clients; client++) {
        int status;
        if (wait(&status) < 0 || status != 0)
            _exit(1);
    }
    return total * 1e9 / (now() - start);
}

static int compare(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static double median(struct sockaddr_in to, char **argv)
{
    int asks = strcmp(argv[1], "ask-byte") == 0;
    long count = atol(argv[4]);
    long long *spent = calloc(count, sizeof *spent);
    for (long i = 0; i < count; i++) {
        long long start = now();
        if (asks)
            to = resolve(argv[2], argv[3]);
        one_byte(to, argv[2], argv[3]);
        spent[i] = now() - start;
    }
    qsort(spent, count, sizeof *spent, compare);
    return spent[count / 2];
}

/* Of those that carry, one is read from after the other, or none ever. */
static double hold(struct sockaddr_in to, char **argv)
{
    long count = atol(argv[4]);
    struct pollfd *held = calloc(count, sizeof *held);
    long long endless = 1LL << 60;
    for (long i = 0; i < count; i++) {
        held[i].fd = dial(to, argv[2], argv[3]);
        held[i].events = POLLIN;
        if (strcmp(argv[5], "idle") == 0) {
            char word = '1';
            all(held[i].fd, &word, 1);
            take_bytes(held[i].fd, 1);
        } else {
            all(held[i].fd, "d", 1);
            all(held[i].fd, &endless, sizeof endless);
        }
    }
    close(open(argv[6], O_WRONLY | O_CREAT, 0600));
    while (access(argv[6], F_OK) == 0) {
        if (strcmp(argv[5], "read") != 0) {
            usleep(20000);
            continue;
        }
        poll(held, count, 20);
        for (long i = 0; i < count; i++)
            if (held[i].revents != 0 && read(held[i].fd, block, sizeof block) <= 0)
                fail("read");
    }
    return count;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        serve(argv[2], argv[3]);
    if (argc < 5)
        return 2;
    proxy_text = getenv("HTTPS_PROXY");
    if (proxy_text != NULL && strstr(proxy_text, "://") != NULL)
        proxy_text = strstr(proxy_text, "://") + 3;
    struct sockaddr_in to = resolve(argv[2], argv[3]);
    double figure = 0;
    if (strcmp(argv[1], "byte") == 0 || strcmp(argv[1], "ask-byte") == 0)
        figure = median(to, argv);
    else if (argc == 6 && strcmp(argv[1], "connections") == 0)
        figure = rate(to, argv, some_bytes);
    else if (argc == 6)
        figure = rate(to, argv, stream);
    else if (argc == 7 && strcmp(argv[1], "hold") == 0)
        figure = hold(to, argv);
    printf("%.0f\n", figure);
    return 0;
}
