"""By which call a device takes a rule's step, and by which operation it is seen to take it."""

from collections.abc import Mapping

from spec.validation import launch, migration, pvalidate, reboot, visibility, vmsa
from spec.validation.svsm import Pc

CALLS: dict[str, tuple[str, str]] = {
    vmsa.create.id: ("vmsa", "create_vcpu"),
    vmsa.delete.id: ("vmsa", "delete_vcpu"),
    visibility.share.id: ("visibility", "share"),
    visibility.unshare.id: ("visibility", "unshare"),
    launch.launch.id: ("launch", "launch"),
    reboot.reboot.id: ("reboot", "reboot"),
    migration.bring.id: ("migration", "bring"),
}
"""Rules that begin work on a vCPU, and what the device calls it."""
ASKED: dict[str, tuple[str, str]] = {
    launch.record.id: ("launch", "record"),
    launch.power_on.id: ("launch", "power_on"),
    launch.start.id: ("launch", "start"),
    migration.export.id: ("migration", "export"),
    migration.take.id: ("migration", "take"),
    migration.complete.id: ("migration", "complete"),
}
"""Rules that are done at once."""
WAITING: Mapping[int, str] = {
    Pc.VALIDATE: "validate",
    Pc.FILL: "fill",
    Pc.GRANT: "grant",
    Pc.REVOKE: "revoke",
    Pc.RESCIND: "rescind",
    Pc.RESTORE: "restore",
    Pc.FLUSH: "flush",
    Pc.PROMOTE: "promote",
    Pc.DEMOTE: "demote",
    Pc.ASK_PRIVATE: "ask_private",
    Pc.ASK_SHARED: "ask_shared",
}
"""The rule of the step that a vCPU takes next, where it is the same whatever happens meanwhile."""
BEFORE_ACCESS = frozenset(
    ("misaligned", "outside", "vmsa", "caa", "launch_vmsa", "not_claimed", "busy", "block_busy")
)
"""Refusals of a request before anything of it is read."""
UNASKED = frozenset(
    {
        (pvalidate.entry.id, "not_claimed"),
        (pvalidate.entry.id, "block_busy"),
        (reboot.reboot_end.id, "vmsa_left"),
        (reboot.reboot_end.id, "page_left"),
    }
)
"""Cases in which a machine that is mostly asked something is asked nothing."""
