/* A program without a C library: nothing sets up thread storage. Ends with status 9. */
void _start(void) {
#if defined(__x86_64__)
    __asm__ volatile("mov $60, %eax\n mov $9, %edi\n syscall");
#elif defined(__i386__)
    __asm__ volatile("mov $1, %eax\n mov $9, %ebx\n int $0x80");
#else
#error "unknown architecture"
#endif
    for (;;) {
    }
}
