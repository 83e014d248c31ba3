/* Without a C library, so that no start of it is met: notes that it ran, and executes its words by another
 * path from another thread, as if its first thread's exec had only lost a race. x86-64. */
__asm__(".globl _start\n"
	"_start: mov (%rsp), %rax\n"
	"lea 8(%rsp), %r12\n"
	"lea 16(%rsp, %rax, 8), %r13\n"
	"mov $2, %eax\n" /* open(ran, O_CREAT | O_WRONLY, 0666) */
	"lea ran(%rip), %rdi\n"
	"mov $0x41, %esi\n"
	"mov $0666, %edx\n"
	"syscall\n"
	"mov $56, %eax\n" /* clone(VM | FS | FILES | SIGHAND | THREAD) */
	"mov $0x10f00, %edi\n"
	"lea -4096(%rsp), %rsi\n"
	"xor %edx, %edx\n"
	"xor %r10d, %r10d\n"
	"xor %r8d, %r8d\n"
	"syscall\n"
	"test %eax, %eax\n"
	"jz 2f\n"
	"1: mov $34, %eax\n" /* pause() */
	"syscall\n"
	"jmp 1b\n"
	"2: mov $59, %eax\n" /* execve(next, argv, envp) */
	"lea next(%rip), %rdi\n"
	"mov %r12, %rsi\n"
	"mov %r13, %rdx\n"
	"syscall\n"
	"mov $231, %eax\n"
	"mov $5, %edi\n"
	"syscall\n"
	"ran: .asciz \"it-ran\"\n"
	"next: .asciz \"/bin/true\"\n");
