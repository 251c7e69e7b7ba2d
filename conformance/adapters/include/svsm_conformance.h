/*
 * What a shared library exports to be run beside the rules, as in
 * svsm-conformance conform --device c:LIB.so
 *
 * A library says which rules it claims and has a table of functions for each group of them that it
 * implements; what it does not claim is reported as not claimed. It runs in a process of its own,
 * on one thread, except where a group says otherwise.
 *
 * Every function that can refuse answers a status: 0 where it has done what it was asked, else a
 * code. Codes are those below, or the library's own, which its table of errors then leads to those
 * below. A code that leads nowhere is a fault of the library, and is told as one. What is behind a
 * pointer that a function writes to is looked at where the status is 0, and only there.
 *
 * A refusal changes nothing. Addresses are in bytes, frames and pages are of 4 KiB, ranges are
 * half-open [first, stop). What each step does, which refusals it has and in which order it looks
 * is said by the rule of its name: svsm-conformance explain validation.bitmap.claim_2m
 */
#ifndef SVSM_CONFORMANCE_H
#define SVSM_CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Another number is another interface: a library is built against the header that runs it. */
#define SVSM_CONFORMANCE_VERSION 1

typedef int64_t svsm_status;

/* A code of the library's own, and the code of this header that it means. */
struct svsm_error {
    svsm_status own;
    svsm_status means;
};

/* Where the table is empty (NULL, 0), the library answers the codes of this header. */
struct svsm_errors {
    const struct svsm_error *listed;
    uint64_t count;
};

/*
 * The record of validated pages: as a bitmap (rules validation.bitmap.*), or kept as runs of pages
 * that are alike (validation.runs.*). One table serves either.
 */

enum svsm_record_status {
    SVSM_OK = 0,
    SVSM_MISALIGNED = 1,
    SVSM_WRAPS = 2,
    SVSM_OUTSIDE = 3,
    SVSM_EMPTY = 4,
    SVSM_REVERSED = 5,
    SVSM_ALREADY_CLAIMED = 6,
    SVSM_NOT_CLAIMED = 7,
    SVSM_MIXED = 8,
    SVSM_SIZE_MISMATCH = 9,
    SVSM_NONE_UNCLAIMED = 10,
    SVSM_WRONG_LENGTH = 11,
    SVSM_SLACK_SET = 12,
    SVSM_ABOVE_LIMIT = 13,
    SVSM_OVER_CAP = 14,
    SVSM_OUT_OF_RUNS = 15
};

enum svsm_extent { SVSM_EXTENT_NONE = 0, SVSM_EXTENT_ALL = 1, SVSM_EXTENT_MIXED = 2 };

/* Room for any number of runs: what a bitmap has. */
#define SVSM_ANY_RUNS 0xFFFFFFFFFFFFFFFF

/* The choices that the rules leave to an implementation. */
struct svsm_policy {
    uint64_t cap_pages; /* the most pages that it tracks */
    uint64_t mixed_2m;  /* what claiming a 2 MiB page of both kinds is told: SVSM_MIXED, or
                           SVSM_SIZE_MISMATCH */
    uint64_t most_runs; /* for how many runs it has room; SVSM_ANY_RUNS for a bitmap */
};

/*
 * A region of `pages` pages from byte address `base`, and which of them are claimed: page p is bit
 * p % 64 of words[p / 64]; bits past the last page are zero. Before there is a region, pages is 0.
 * room: how many words there are at `words`; never fewer than the pages need.
 */
struct svsm_state {
    uint64_t base;
    uint64_t pages;
    uint64_t most_runs; /* as in the policy; SVSM_ANY_RUNS once a record has become a bitmap */
    uint64_t *words;
    uint64_t room;
};

/* The steps of a trace that is handed over whole. */
enum svsm_rule {
    SVSM_CREATE = 0,          /* a base, b pages, c claimed */
    SVSM_FILL = 1,            /* a claimed */
    SVSM_CLAIM_4K = 2,        /* a gpa */
    SVSM_CLAIM_2M = 3,        /* a gpa */
    SVSM_CLAIM_RANGE = 4,     /* a first, b stop */
    SVSM_RELEASE_4K = 5,      /* a gpa */
    SVSM_RELEASE_2M = 6,      /* a gpa */
    SVSM_RELEASE_RANGE = 7,   /* a first, b stop */
    SVSM_QUERY = 8,           /* a gpa */
    SVSM_TEST_RANGE = 9,      /* a first, b stop */
    SVSM_COUNT = 10,          /* a first, b stop */
    SVSM_FIRST_UNCLAIMED = 11, /* a first, b stop */
    SVSM_EXPORT_WORDS = 12,   /* a length, b where its words begin */
    SVSM_IMPORT_WORDS = 13    /* a length, b where its words begin */
};

struct svsm_step {
    uint64_t rule;
    uint64_t a;
    uint64_t b;
    uint64_t c;
};

struct svsm_answer {
    svsm_status status;
    uint64_t value; /* what the step of that name writes to its last pointer; else 0 */
};

/*
 * make, drop, load and observe are needed; each of the others where its rule is claimed. The
 * device is made once and loaded with many states.
 */
struct svsm_record {
    struct svsm_errors errors;
    struct svsm_policy policy;

    void *(*make)(void); /* NULL: it could not be made */
    void (*drop)(void *self);
    void (*load)(void *self, const struct svsm_state *state);
    /* Writes base, pages, the words that they need, and, once it has switched, most_runs. */
    void (*observe)(void *self, struct svsm_state *state);

    svsm_status (*create)(void *self, uint64_t base, uint64_t pages, bool claimed,
                          uint64_t *bytes);
    svsm_status (*fill)(void *self, bool claimed);
    svsm_status (*claim_4k)(void *self, uint64_t gpa);
    svsm_status (*claim_2m)(void *self, uint64_t gpa);
    svsm_status (*claim_range)(void *self, uint64_t first, uint64_t stop);
    svsm_status (*release_4k)(void *self, uint64_t gpa);
    svsm_status (*release_2m)(void *self, uint64_t gpa);
    svsm_status (*release_range)(void *self, uint64_t first, uint64_t stop);
    svsm_status (*query)(void *self, uint64_t gpa, uint64_t *claimed); /* 1 or 0 */
    svsm_status (*test_range)(void *self, uint64_t first, uint64_t stop,
                              uint64_t *extent); /* enum svsm_extent */
    svsm_status (*count)(void *self, uint64_t first, uint64_t stop, uint64_t *pages);
    svsm_status (*first_unclaimed)(void *self, uint64_t first, uint64_t stop, uint64_t *gpa);
    svsm_status (*export_words)(void *self, uint64_t *words, uint64_t length);
    svsm_status (*import_words)(void *self, const uint64_t *words, uint64_t length);
    svsm_status (*become_bitmap)(void *self); /* the rule validation.runs.switch */

    /*
     * Optional: a whole trace in one call; it is compared like the steps one by one. words: what
     * exports and imports read and write. shown: for each step 2 + width words, which are zero
     * before: base, pages and words after it. done: the number of steps done so far, written as it
     * goes, so that a crash can be told with its step.
     */
    void (*run)(void *self, const struct svsm_step *steps, uint64_t count, uint64_t *words,
                struct svsm_answer *answers, uint64_t *shown, uint64_t width,
                volatile uint64_t *done);
};

/*
 * The stages of the memory map's handoff (rules handoff.*), each a function of its arguments alone.
 * See docs/handoff.md. A stage is needed where one of its rules is claimed: reserve is what
 * handoff.kernel and handoff.reserve are about.
 */

enum svsm_handoff_status {
    SVSM_HANDOFF_OK = 0,
    SVSM_HANDOFF_NONZERO_RESERVED = 1,
    SVSM_HANDOFF_UNKNOWN_TYPE = 2,
    SVSM_HANDOFF_WRAPS = 3,
    SVSM_HANDOFF_ABOVE_LIMIT = 4,
    SVSM_HANDOFF_UNSORTED = 5,
    SVSM_HANDOFF_OVERLAPS = 6,
    SVSM_HANDOFF_NO_MEMORY = 7,
    SVSM_HANDOFF_OVER_CAP = 8,
    SVSM_HANDOFF_BAD_KERNEL_BOUNDS = 9,
    SVSM_HANDOFF_KERNEL_OUTSIDE = 10,
    SVSM_HANDOFF_KERNEL_MEETS_EXCLUDED = 11,
    SVSM_HANDOFF_NO_ROOM = 12,
    SVSM_HANDOFF_NO_LOW_MEMORY = 13,
    SVSM_HANDOFF_ALREADY_WRITTEN = 14,
    SVSM_HANDOFF_MISALIGNED = 15,
    SVSM_HANDOFF_AREA_OUTSIDE = 16,
    SVSM_HANDOFF_TOO_MANY = 17
};

/* Pages of 4 KiB; the empty range is [0, 0). */
struct svsm_range {
    uint64_t first;
    uint64_t stop;
};

struct svsm_entry {
    uint64_t first;
    uint64_t stop;
    uint64_t type; /* 0 MEMORY ... 5 HIDDEN */
};

struct svsm_handoff {
    struct svsm_errors errors;

    /* Stage 1. room: entries there is place for, always enough; count: how many were written. */
    svsm_status (*read)(const uint8_t *area, uint64_t bytes, uint64_t limit,
                        struct svsm_entry *entries, uint64_t room, uint64_t *count);
    /* Stage 2. */
    svsm_status (*size)(const struct svsm_entry *entries, uint64_t count, uint64_t cap,
                        bool tracks, uint64_t *tracked, uint64_t *bitmaps);
    /* Stage 3. base, least, most: of the kernel, in pages. */
    svsm_status (*reserve)(const struct svsm_entry *entries, uint64_t count, uint64_t base,
                           uint64_t least, uint64_t most, const struct svsm_range *excluded,
                           uint64_t excluded_count, uint64_t bitmaps, uint64_t limit,
                           struct svsm_range *kernel, struct svsm_range *region);
    /* Stage 4. room, guest_count: as in stage 1. */
    svsm_status (*carve)(const struct svsm_entry *entries, uint64_t count,
                         const struct svsm_range *kernel, const struct svsm_range *region,
                         uint64_t low_pages, struct svsm_range *guest, uint64_t room,
                         uint64_t *guest_count);
    /* Stage 5. memory: what the area's pages hold, from the start of the first one on. */
    svsm_status (*write)(uint8_t *memory, uint64_t address, uint64_t bytes, bool prevalidated,
                         const struct svsm_range *guest, uint64_t guest_count,
                         bool with_terminator, bool published, struct svsm_range *validated);
};

/*
 * MMIO (rules mmio.*): one call is one transaction, of that width. See docs/mmio.md. All that an
 * implementation does to the outside goes through the bus that it is made with.
 */

enum svsm_mmio_status {
    SVSM_MMIO_OK = 0,
    SVSM_MMIO_BAD_LENGTH = 1,
    SVSM_MMIO_UNMAPPED = 2,
    SVSM_MMIO_OUTSIDE = 3,
    SVSM_MMIO_MISALIGNED = 4,
    SVSM_MMIO_NO_ANSWER = 5,
    SVSM_MMIO_HOST_REFUSED = 6,
    SVSM_MMIO_GARBAGE = 7,
    SVSM_MMIO_ALREADY_OPEN = 8,
    SVSM_MMIO_EMPTY = 9,
    SVSM_MMIO_ABOVE_LIMIT = 10,
    SVSM_MMIO_OVERLAPS = 11,
    SVSM_MMIO_NO_MAPPING = 12,
    SVSM_MMIO_ATTACHED = 13,
    SVSM_MMIO_NOT_ATTACHED = 14,
    SVSM_MMIO_UNSTABLE = 15
};

/* Back ends; a library says by bits which it has. */
enum svsm_backend {
    SVSM_BUS = 1, /* native, by the bus's load and store in place of instructions */
    SVSM_SNP = 2,
    SVSM_TDX = 4
};

/* What comes back from an exit to the host: the first 8 bytes of the shared buffer among it. */
struct svsm_exit {
    uint64_t info1;
    uint64_t info2;
    uint8_t buffer[8];
};

struct svsm_bus {
    void *host; /* handed back with every call */
    uint64_t buffer_gpa; /* SNP: where the shared buffer is */
    uint64_t shared_bit; /* TDX: a mask */

    /* SVSM_BUS. map answers the virtual address of the first page, 0 where it cannot be. */
    uint64_t (*map)(void *host, uint64_t first_page, uint64_t pages);
    void (*unmap)(void *host, uint64_t address, uint64_t pages);
    uint64_t (*load)(void *host, uint64_t address, uint64_t width);
    void (*store)(void *host, uint64_t address, uint64_t width, uint64_t value);
    /* SVSM_SNP. Answers whether the host marked its answer as valid. */
    bool (*exit_to_host)(void *host, uint64_t code, uint64_t info1, uint64_t info2,
                         uint64_t scratch, const uint8_t *buffer, uint64_t bytes,
                         struct svsm_exit *back);
    /* SVSM_TDX. Answers RAX. */
    uint64_t (*tdvmcall)(void *host, uint64_t r11, uint64_t r12, uint64_t r13, uint64_t r14,
                         uint64_t r15, uint64_t *r10_back, uint64_t *r11_back);
};

struct svsm_slot {
    uint64_t slot;
    uint64_t gpa;
    uint64_t size;
    uint64_t attached;
};

/* make, drop and slots are needed; each of the others where its rule is claimed. */
struct svsm_mmio {
    struct svsm_errors errors;
    uint64_t backends;

    /* A machine with no slot open. limit: the address limit in bytes. The bus outlives it. */
    void *(*make)(uint64_t backend, const struct svsm_bus *bus, uint64_t limit);
    void (*drop)(void *self);
    /* Writes the open slots, of which there is room for `room`; answers how many there are. */
    uint64_t (*slots)(void *self, struct svsm_slot *slots, uint64_t room);

    svsm_status (*open)(void *self, uint64_t slot, uint64_t gpa, uint64_t size, uint64_t *pages);
    svsm_status (*attach)(void *self, uint64_t slot);
    svsm_status (*detach)(void *self, uint64_t slot);
    svsm_status (*close)(void *self, uint64_t slot);
    /* There is room for 8 bytes at data, whatever the length. */
    svsm_status (*read)(void *self, uint64_t slot, uint64_t offset, uint64_t length,
                        uint8_t *data);
    svsm_status (*write)(void *self, uint64_t slot, uint64_t offset, const uint8_t *data,
                         uint64_t length);
    svsm_status (*read_u8)(void *self, uint64_t slot, uint64_t offset, uint8_t *value);
    svsm_status (*read_u16)(void *self, uint64_t slot, uint64_t offset, uint16_t *value);
    svsm_status (*read_u32)(void *self, uint64_t slot, uint64_t offset, uint32_t *value);
    svsm_status (*read_u64)(void *self, uint64_t slot, uint64_t offset, uint64_t *value);
    svsm_status (*write_u8)(void *self, uint64_t slot, uint64_t offset, uint8_t value);
    svsm_status (*write_u16)(void *self, uint64_t slot, uint64_t offset, uint16_t value);
    svsm_status (*write_u32)(void *self, uint64_t slot, uint64_t offset, uint32_t value);
    svsm_status (*write_u64)(void *self, uint64_t slot, uint64_t offset, uint64_t value);
    svsm_status (*read_config_u64)(void *self, uint64_t slot, uint64_t offset, uint64_t tries,
                                   uint64_t *value);
};

/*
 * The core protocol of an SVSM on SEV-SNP (rules validation.pvalidate.*, vmsa.*, visibility.*,
 * launch.*, reboot.*, migration.*): its calls, and what it asks of the platform meanwhile.
 *
 * An SVSM is run whole: one that claims any of these rules claims all of them.
 *
 * Each vCPU is a thread. Only one of them ever runs: a call on one vCPU rests in a function of the
 * platform while others go on, so a lock that is taken by a vCPU at rest must be told as busy and
 * never waited for.
 */

/* What a function of the platform answers. */
enum svsm_platform_status {
    SVSM_GO_ON = 0,
    /* The page is not validated (#VC): the SVSM must stop for good, and the call return. */
    SVSM_FAULT = 1,
    /* The vCPU is stopped: the call must return, with no more asked and nothing changed. */
    SVSM_STOPPED = 2
};

enum svsm_fill { SVSM_FILL_ZERO = 0, SVSM_FILL_FIRMWARE = 1, SVSM_FILL_STREAM = 2 };

struct svsm_platform {
    void *host; /* handed back with every call */

    int64_t (*read)(void *host, uint64_t vcpu, uint64_t gpa, uint8_t *data, uint64_t bytes);
    int64_t (*write)(void *host, uint64_t vcpu, uint64_t gpa, const uint8_t *data,
                     uint64_t bytes);
    /* The contents of a frame, or of 512. */
    int64_t (*fill)(void *host, uint64_t vcpu, uint64_t frame, bool large, uint64_t what);
    /* Every CPU forgets its translations. */
    int64_t (*flush)(void *host, uint64_t vcpu);
    /* PVALIDATE: EAX and the carry flag. */
    int64_t (*pvalidate)(void *host, uint64_t vcpu, uint64_t frame, bool large, bool validate,
                         uint64_t *code, bool *carry);
    /* RMPADJUST of the guest's rights. each: page by page where the RMP entry is smaller. */
    int64_t (*rmpadjust)(void *host, uint64_t vcpu, uint64_t frame, bool large, uint64_t rights,
                         bool each, uint64_t *code);
    /* Sets the VMSA bit, if what the frame holds makes a VMSA or comes from the SVSM itself. */
    int64_t (*promote)(void *host, uint64_t vcpu, uint64_t frame, bool trusted, bool *done);
    int64_t (*demote)(void *host, uint64_t vcpu, uint64_t frame, uint64_t rights);
    /* A page-state change (PSC) of one entry: SW_EXITINFO2 and the buffer's first 8 bytes back. */
    int64_t (*page_state)(void *host, uint64_t vcpu, uint64_t frame, bool private_,
                          uint64_t *info2, uint8_t *header);
    int64_t (*page_state_msr)(void *host, uint64_t vcpu, uint64_t frame, bool private_,
                              uint64_t *response);
};

struct svsm_ranges {
    const struct svsm_range *listed;
    uint64_t count;
};

struct svsm_vcpu {
    uint64_t vmsa; /* the frame of its VMSA */
    uint64_t caa;  /* that of its calling area */
};

/* An SVSM in which every vCPU is at rest. */
struct svsm_start {
    struct svsm_ranges guest;
    struct svsm_ranges own;
    struct svsm_ranges ghcbs;
    struct svsm_ranges measured;
    struct svsm_ranges firmware;
    uint64_t launch_vmsa;

    bool one_lock;        /* one lock for all frames, or one for each */
    bool heeds_ignore_cf; /* whether an entry may ask that the carry flag be ignored */
    bool by_msr;          /* the host is asked for page states by the MSR protocol */
    uint64_t refused;     /* what asking twice is told: a result code */

    struct svsm_ranges stream; /* what a migration brings */
    struct svsm_ranges stream_vmsas;
    uint64_t nonce;

    struct svsm_ranges claimed;
    struct svsm_ranges caas;
    struct svsm_ranges shared;
    const struct svsm_vcpu *vcpus;
    uint64_t vcpu_count;
    uint64_t stage; /* 0 off, 1 cold, 2 running, 3 rebooting, 4 importing, 5 moved */
    bool halted;
};

/* A set of frames that an SVSM shows. */
enum svsm_set { SVSM_CLAIMED = 0, SVSM_VMSAS = 1, SVSM_CAAS = 2, SVSM_SHARED = 3 };

/*
 * Answers are the protocol's result codes (0 success, 0x80000000 incomplete, ...), and are not led
 * by a table. Every function is needed.
 */
struct svsm_protocol {
    void *(*make)(const struct svsm_platform *platform);
    void (*drop)(void *self);
    void (*load)(void *self, const struct svsm_start *start);

    /* Observers. ranges: in order, not touching; room for `room`; answers how many there are. */
    uint64_t (*stage)(void *self);
    bool (*halted)(void *self);
    uint64_t (*ranges)(void *self, uint64_t set, struct svsm_range *ranges, uint64_t room);

    /* Calls, which ask of the platform. */
    uint64_t (*pvalidate)(void *self, uint64_t vcpu, uint64_t rcx);
    uint64_t (*create_vcpu)(void *self, uint64_t vcpu, uint64_t vmsa, uint64_t caa);
    uint64_t (*delete_vcpu)(void *self, uint64_t vcpu, uint64_t vmsa);
    uint64_t (*share)(void *self, uint64_t vcpu, uint64_t gpa);
    uint64_t (*unshare)(void *self, uint64_t vcpu, uint64_t gpa);
    uint64_t (*launch)(void *self, uint64_t vcpu, uint64_t gpa);
    uint64_t (*reboot)(void *self, uint64_t vcpu);
    uint64_t (*bring)(void *self, uint64_t vcpu, uint64_t gpa);

    /* Calls that are done at once; 0 or a refusal. */
    uint64_t (*record)(void *self, uint64_t frame, bool large);
    uint64_t (*power_on)(void *self);
    uint64_t (*start)(void *self);
    uint64_t (*export_record)(void *self);
    uint64_t (*take)(void *self, uint64_t nonce);
    uint64_t (*complete)(void *self);
};

/* The library: a group that it has not is NULL. claims: ids of rules, NULL behind the last. */
struct svsm_library {
    const char *name;
    const char *const *claims;
    const struct svsm_record *bitmap;
    const struct svsm_record *runs;
    const struct svsm_handoff *handoff;
    const struct svsm_mmio *mmio;
    const struct svsm_protocol *protocol;
};

/* The two symbols that a library exports. */
uint32_t svsm_conformance_version(void);
const struct svsm_library *svsm_conformance_library(void);

/* Both of them, for a `static const struct svsm_library` of that name. */
#define SVSM_CONFORMANCE_EXPORT(library)                                                          \
    __attribute__((visibility("default"))) uint32_t svsm_conformance_version(void)                \
    {                                                                                             \
        return SVSM_CONFORMANCE_VERSION;                                                          \
    }                                                                                             \
    __attribute__((visibility("default"))) const struct svsm_library *svsm_conformance_library(   \
        void)                                                                                     \
    {                                                                                             \
        return &(library);                                                                        \
    }

#ifdef __cplusplus
}
#endif

#endif
