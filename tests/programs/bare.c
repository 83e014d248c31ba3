/* A program without a C library; it ends with status 9. It sets up no thread storage, unless
 * -DSTART; with -DSET_MM it has before that tried to change what /proc says of its argv. */
#if defined(__x86_64__)
static long call(long nr, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#define PRCTL 157
#define START_CALL call(158, 0x1002, 0, 0, 0, 0) /* arch_prctl(ARCH_SET_FS) */
#define EXIT 60
#elif defined(__aarch64__)
static long call(long nr, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#define PRCTL 167
#define START_CALL call(96, 0, 0, 0, 0, 0) /* set_tid_address */
#define EXIT 93
#else
#error "unknown architecture"
#endif

void _start(void) {
#ifdef SET_MM
    call(PRCTL, 35 /* PR_SET_MM */, 8 /* PR_SET_MM_ARG_START */, 0x1000, 0, 0);
#endif
#ifdef START
    START_CALL;
#endif
    for (;;)
        call(EXIT, 9, 0, 0, 0, 0);
}
