"""The habits of an SVSM that the sentences about it need, by name.

A sentence names them in `needs`. That each is needed is shown by dropping it: the sentence is then
refuted, and there is a way from a machine at rest to a state in which it is false.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Discipline:
    """One habit: `says` is what the SVSM does.

    machine: on which it is shown to be needed, as models have it; none is SEV-SNP.
    """

    name: str
    says: str
    machine: str = ""


TDX = "tdx"
ALL = (
    Discipline("claim-before-validate", "a page is claimed, once, before PVALIDATE validates it"),
    Discipline("one-vcpu-a-page", "a page is locked from the first look at it until it is done"),
    Discipline("carry-is-fatal", "PVALIDATE's carry flag on a rescission stops the SVSM"),
    Discipline("record-the-launch", "what the launch validated is claimed before anything else"),
    Discipline("release-after-rescind", "a page is released only after it has been rescinded"),
    Discipline("revoke-before-rescind", "rights are taken away before a page is rescinded"),
    Discipline("flush-before-release", "every CPU forgets its translations before a release"),
    Discipline("zero-before-grant", "a page is zeroed before the guest gets rights to it"),
    Discipline("only-the-guests-pages", "requests touch pages of the memory map alone"),
    Discipline("no-vmsa-in-a-request", "requests spare VMSAs, calling areas and the launch VMSA"),
    Discipline("register-first", "a VMSA is registered before anything else is done to its page"),
    Discipline("rescind-before-share", "a page is rescinded before the host is asked to share it"),
    Discipline("next-after-effect", "`next` goes on only past an entry that has had its effect"),
    Discipline("rescind-all-at-reboot", "a reboot ends when no page of the guest is claimed"),
    Discipline("only-the-stream", "a migration brings in pages of its stream alone"),
    Discipline("stop-at-export", "the source stops when it has handed out its record"),
    Discipline("all-or-nothing", "a 2 MiB page is locked, claimed and released as 512 pages"),
    Discipline("undo-after-mismatch", "a claim is undone where PVALIDATE's size does not fit"),
    Discipline("stop-on-unvalidated", "an access to a claimed page not validated stops the SVSM"),
    Discipline("validate-firmware-once", "a page that the launch validated is not validated again"),
    Discipline("mark-the-stream", "a stream is taken only with the mark that was given out for it"),
    Discipline("never-re-accept", "on TDX no page that is claimed is accepted again", TDX),
    Discipline(
        "fill-what-is-accepted", "on TDX a page is filled though it was accepted before", TDX
    ),
    Discipline("attributes-go-first", "on TDX the attributes go before a page is given up", TDX),
)
