/* SIGSEGV and SIGTRAP: ours are answered, all others are passed on to whom we replaced.

   Everything here is safe in a handler: no allocation, no lock that the interrupted code could
   hold, no Python. A fault is synchronous and every other signal is blocked meanwhile, so the only
   rivals are other threads; an area's own lock keeps them apart. */

#define _GNU_SOURCE
#include "trap.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { AREAS = 64 };
enum { FAULT_WRITE = 2, FAULT_FETCH = 16, TRAP_FLAG = 0x100, PAGE_FAULT = 14 };

/* What the processor is doing in one single step, on this thread. */
struct step {
    struct area *area;
    uint64_t mask, rip;
    struct insn insn;
};

static _Atomic(struct area *) areas[AREAS];
static struct sigaction replaced[2];
static const int signals[2] = {SIGSEGV, SIGTRAP};
static atomic_int withdrawn;
static int armed;
/* Reached from a handler, so never allocated on first use. */
static __thread struct step step __attribute__((tls_model("initial-exec")));

static const int numbers[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct area *area_at(uint64_t at) {
    int i;
    for (i = 0; i < AREAS; i++) {
        struct area *area = atomic_load_explicit(areas + i, memory_order_acquire);
        uint64_t base = area ? (uint64_t)(uintptr_t)area->base : 0;
        if (area && at >= base && at < base + area->total) return area;
    }
    return NULL;
}

static void hold(struct area *area) {
    while (atomic_exchange_explicit(&area->lock, 1, memory_order_acquire)) sched_yield();
}

static void let_go(struct area *area) {
    atomic_store_explicit(&area->lock, 0, memory_order_release);
}

/* The decoded operands against what the hardware says of its fault: an operand that has the
   address, and does what faulted. So a wrong decoding is told as none. */
static int agrees(const struct insn *insn, uint64_t at, int wrote) {
    int i, access = wrote ? WRITES : READS;
    for (i = 0; i < insn->operands; i++) {
        const struct operand *operand = insn->operand + i;
        uint64_t into = at - operand->at;
        if (into < (uint64_t)insn->width && (operand->access & access)) return 1;
    }
    return 0;
}

/* All of an operand lies in the mapping. */
static int inside(const struct area *area, const struct operand *operand, int width) {
    uint64_t into = operand->at - (uint64_t)(uintptr_t)area->base;
    return into < area->total && (uint64_t)width <= area->total - into;
}

/* Some of an operand does and some does not, so it is no access that we can answer. */
static int hangs_over(const struct area *area, const struct insn *insn) {
    uint64_t base = (uint64_t)(uintptr_t)area->base, end = base + area->total;
    int i;
    for (i = 0; i < insn->operands; i++) {
        uint64_t at = insn->operand[i].at, stop = at + (uint64_t)insn->width;
        if (at < end && stop > base && !inside(area, insn->operand + i, insn->width)) return 1;
    }
    return 0;
}

static void load(const struct insn *insn, greg_t *regs, uint64_t value) {
    greg_t *reg = regs + numbers[insn->reg];
    int bits = 64 - 8 * insn->width;
    uint64_t mask = insn->to == 1 ? 0xFF : 0xFFFF;
    if (insn->sign) value = (uint64_t)((int64_t)(value << bits) >> bits);
    if (insn->to == 8)
        *reg = (greg_t)value;
    else if (insn->to == 4)
        *reg = (greg_t)(uint32_t)value;
    else
        *reg = (greg_t)(((uint64_t)*reg & ~(mask << 8 * insn->high)) |
                        (value & mask) << 8 * insn->high);
}

static void carry_out(struct area *area, const struct insn *insn, greg_t *regs) {
    uint64_t at = insn->operand[0].at, rip = (uint64_t)regs[REG_RIP], value = 0;
    uint8_t data[8];
    if (insn->form == LOAD) {
        trap_read(area, at, rip, insn->width, data);
        memcpy(&value, data, (size_t)insn->width);
        load(insn, regs, value);
    } else {
        value = insn->form == STORE_IMM
                    ? insn->immediate
                    : (uint64_t)regs[numbers[insn->reg]] >> 8 * insn->high;
        memcpy(data, &value, 8);
        trap_write(area, at, rip, insn->width, data);
    }
    regs[REG_RIP] += insn->length;
}

static void open_up(struct area *area) {
    (void)mprotect(area->base, area->total, PROT_READ | PROT_WRITE);
}

static void close_up(struct area *area) {
    (void)mprotect(area->base, area->total, PROT_NONE);
}

/* The page holds what the device answered while the processor carries out one instruction. No
   handler of others runs meanwhile; the area's lock is held until `stepped`. */
static void begin_step(struct area *area, const struct insn *insn, ucontext_t *context) {
    greg_t *regs = context->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)regs[REG_RIP], others = ~(uint64_t)0;
    int i;
    step.area = area;
    step.insn = *insn;
    step.rip = rip;
    open_up(area);
    for (i = 0; i < insn->operands; i++) {
        const struct operand *operand = insn->operand + i;
        if (!(operand->access & READS) || !inside(area, operand, insn->width)) continue;
        trap_read(area, operand->at, rip, insn->width, (uint8_t *)(uintptr_t)operand->at);
    }
    others &= ~(1ULL << (SIGTRAP - 1) | 1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1));
    others &= ~(1ULL << (SIGFPE - 1) | 1ULL << (SIGILL - 1));
    memcpy(&step.mask, &context->uc_sigmask, sizeof step.mask);
    memcpy(&context->uc_sigmask, &others, sizeof others);
    regs[REG_EFL] |= TRAP_FLAG;
}

static void stepped(ucontext_t *context, int done) {
    struct area *area = step.area;
    const struct insn *insn = &step.insn;
    int i;
    for (i = 0; done && i < insn->operands; i++) {
        const struct operand *operand = insn->operand + i;
        if (!(operand->access & WRITES) || !inside(area, operand, insn->width)) continue;
        trap_write(area, operand->at, step.rip, insn->width, (uint8_t *)(uintptr_t)operand->at);
    }
    if (insn->form == UNDECODED)
        memset(area->base, 0, area->total);
    else
        for (i = 0; i < insn->operands; i++)
            if (inside(area, insn->operand + i, insn->width))
                memset((void *)(uintptr_t)insn->operand[i].at, 0, (size_t)insn->width);
    close_up(area);
    memcpy(&context->uc_sigmask, &step.mask, sizeof step.mask);
    context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    step.area = NULL;
    let_go(area);
}

/* Nobody knows what an undecoded instruction asks, so nothing is asked of the device: it reads
   zeros, what it writes is thrown away, and its bytes are told. */
static void undecoded(struct area *area, uint64_t at, ucontext_t *context) {
    static const struct insn none = {.form = UNDECODED};
    uint64_t rip = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    uint64_t left = TRAP_PAGE - rip % TRAP_PAGE;
    trap_note(area, at, rip, LOG_UNDECODED, left < 15 ? (int)left : 15, 0, (void *)(uintptr_t)rip);
    begin_step(area, &none, context);
}

/* Whoever we replaced gets the signal as if we had never been: a fault happens again, and anything
   else is sent again. Should it come back here, nobody wants it, and the process dies of it. */
static void pass_on(int signal_number, siginfo_t *info) {
    int which = signal_number == SIGTRAP, again = atomic_fetch_or(&withdrawn, 1 << which);
    struct sigaction fatal = {.sa_handler = SIG_DFL};
    int fault = signal_number == SIGSEGV && info->si_code > 0;
    (void)sigaction(signal_number, again & 1 << which ? &fatal : replaced + which, NULL);
    if (!fault) (void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal_number);
}

static void answer(struct area *area, uint64_t at, ucontext_t *context) {
    greg_t *regs = context->uc_mcontext.gregs;
    int wrote = (regs[REG_ERR] & FAULT_WRITE) != 0, i;
    uint64_t general[16], rip = (uint64_t)regs[REG_RIP];
    struct insn insn;
    hold(area);
    area->traps++;
    for (i = 0; i < 16; i++) general[i] = (uint64_t)regs[numbers[i]];
    insn = trap_decode((const uint8_t *)(uintptr_t)rip, rip, general);
    if (insn.form == UNDECODED || !agrees(&insn, at, wrote) || hangs_over(area, &insn)) {
        undecoded(area, at, context);
    } else if (insn.form == STEP || area->step_always) {
        begin_step(area, &insn, context);
    } else {
        carry_out(area, &insn, regs);
        let_go(area);
    }
}

static void on_signal(int signal_number, siginfo_t *info, void *raw) {
    ucontext_t *context = raw;
    greg_t *regs = context->uc_mcontext.gregs;
    int before = errno;
    struct area *area = NULL;
    if (signal_number == SIGTRAP && step.area) {
        stepped(context, 1);
        return;
    }
    if (signal_number == SIGSEGV && info->si_code > 0 && regs[REG_TRAPNO] == PAGE_FAULT)
        if (!(regs[REG_ERR] & FAULT_FETCH)) area = area_at((uint64_t)(uintptr_t)info->si_addr);
    if (area && !step.area) {
        answer(area, (uint64_t)(uintptr_t)info->si_addr, context);
    } else {
        /* A step that ends in a fault of its own is undone first. */
        if (step.area) stepped(context, 0);
        pass_on(signal_number, info);
    }
    errno = before;
}

static int is_ours(int which) {
    struct sigaction now;
    if (sigaction(signals[which], NULL, &now)) return 0;
    return (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal;
}

static int install(void) {
    struct sigaction ours = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int which;
    (void)sigfillset(&ours.sa_mask);
    for (which = 0; which < 2; which++)
        if (!is_ours(which) && sigaction(signals[which], &ours, replaced + which)) return errno;
    atomic_store(&withdrawn, 0);
    return 0;
}

/* Where somebody came after us, we are whom they will restore, so we stay: without an area, every
   signal is passed on. */
static int uninstall(void) {
    int which;
    for (which = 0; which < 2; which++)
        if (is_ours(which) && sigaction(signals[which], replaced + which, NULL)) return errno;
    return 0;
}

int trap_holds(void) {
    return armed > 0 && is_ours(0) && is_ours(1);
}

int trap_arm(struct area *area) {
    int i, error;
    for (i = 0; i < AREAS && atomic_load(areas + i); i++) {}
    if (i == AREAS) return ENOSPC;
    error = install();
    if (error) return error;
    armed++;
    atomic_store_explicit(areas + i, area, memory_order_release);
    return 0;
}

int trap_disarm(struct area *area) {
    int i;
    for (i = 0; i < AREAS; i++)
        if (atomic_load(areas + i) == area) {
            atomic_store(areas + i, NULL);
            return --armed ? 0 : uninstall();
        }
    return 0;
}
