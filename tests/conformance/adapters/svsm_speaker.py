"""The built-in SVSM as a program that speaks lines of JSON; its argument is what it does wrong."""

import base64
import json
import sys

from impl import launch, migration, pvalidate, reboot, svsm, visibility, vmsa
from impl.platform import Vc
from impl.record import Frames

CLAIMS = {
    "pvalidate": "call entry claim validate fill grant check revoke rescind restore flush release "
    "finish answer",
    "vmsa": "create promote delete demote",
    "visibility": "share unshare ask_shared ask_private",
    "launch": "record power_on launch start",
    "reboot": "reboot reboot_vmsa reboot_page reboot_end",
    "migration": "export take bring complete",
}
CALLS = {
    "pvalidate": pvalidate.pvalidate,
    "create_vcpu": vmsa.create_vcpu,
    "delete_vcpu": vmsa.delete_vcpu,
    "share": visibility.share,
    "unshare": visibility.unshare,
    "launch": launch.launch,
    "reboot": reboot.reboot,
    "bring": migration.bring,
    "record": launch.record,
    "power_on": launch.power_on,
    "start": launch.start,
    "export_record": migration.export,
    "take": migration.take,
    "complete": migration.complete,
}
ASKED = {
    "Read": "read",
    "Write": "write",
    "Fill": "fill",
    "Flush": "flush",
    "Pvalidate": "pvalidate",
    "Rmpadjust": "rmpadjust",
    "Promote": "promote",
    "Demote": "demote",
    "PageState": "page_state",
    "PageStateMsr": "page_state_msr",
}
ANSWERED = {
    "read": lambda told: base64.b64decode(told[0]),
    "pvalidate": lambda told: (told[0], bool(told[1])),
    "rmpadjust": lambda told: told[0],
    "promote": lambda told: bool(told[0]),
    "page_state": lambda told: (told[0], base64.b64decode(told[1])),
    "page_state_msr": lambda told: told[0],
}


class Speaker:
    def __init__(self, wrong):
        self.wrong, self.work, self.asks = wrong, {}, {}

    def svsm(self, told):
        places = ("guest", "own", "ghcbs", "measured", "firmware")
        parts = {name: tuple(map(tuple, told[name])) for name in places}
        layout = svsm.Layout(**parts, launch_vmsa=told["launch_vmsa"])
        names = ("one_lock", "refused", "heeds_ignore_cf", "by_msr")
        options = svsm.Options(**{name: told[name] for name in names})
        brought = Frames(tuple(map(tuple, told["stream"])))
        vmsas = Frames(tuple(map(tuple, told["stream_vmsas"])))
        self.it = svsm.Svsm(layout, options, svsm.Stream(brought, vmsas, told["nonce"]))
        for first, stop in told["claimed"]:
            self.it.record.mark(first, stop - first)
        self.it.vmsas = dict(map(tuple, told["vcpus"]))
        for name in ("caas", "shared"):
            setattr(self.it, name, {f for a, b in told[name] for f in range(a, b)})
        self.it.stage, self.it.halted = svsm.Stage(told["stage"]), told["halted"]
        self.work, self.asks = {}, {}
        return self.waits()

    def begin(self, told):
        work = CALLS[told["name"]](self.it, *told["arguments"])
        self.work[told["vcpu"]] = self.it.guarded(work)
        return self.advance(told["vcpu"], next)

    def resume(self, told):
        vcpu = told["vcpu"]
        if told["status"] == 2:
            self.work.pop(vcpu).close()
            return self.waits()
        if told["status"] == 1:
            return self.advance(vcpu, lambda work: work.throw(Vc()))
        answer = ANSWERED.get(self.asks[vcpu], lambda _told: None)(told["answer"])
        return self.advance(vcpu, lambda work: work.send(answer))

    def now(self, told):
        return self.waits(result=int(CALLS[told["name"]](self.it, *told["arguments"])))

    def advance(self, vcpu, go_on):
        try:
            asked = go_on(self.work[vcpu])
        except StopIteration as end:
            self.work.pop(vcpu)
            return self.waits(result=int(end.value))
        self.asks[vcpu] = what = ASKED[type(asked).__name__]
        arguments = [
            base64.b64encode(a).decode() if isinstance(a, bytes) else int(a) for a in asked
        ]
        if self.wrong == what:
            if what == "rmpadjust":
                arguments[2] ^= 1
            else:
                sys.exit(3)
        return self.waits(what=what, arguments=arguments)

    def waits(self, **more):
        shown = {
            "vmsas": runs(self.it.vmsas),
            "caas": runs(self.it.caas),
            "shared": runs(self.it.shared),
        }
        record = {"claimed": [list(run) for run in self.it.record.runs()]}
        stage = {"stage": int(self.it.stage), "halted": bool(self.it.halted)}
        return {"say": "waits"} | stage | record | shown | more


def runs(frames):
    edges = sorted(set(frames) ^ {f + 1 for f in frames})
    return list(zip(edges[::2], edges[1::2], strict=True))


def main():
    speaker = Speaker(sys.argv[1] if len(sys.argv) > 1 else "")
    for line in sys.stdin:
        told = json.loads(line)
        if told["say"] == "hello":
            claims = [f"validation.{a}.{n}" for a, names in CLAIMS.items() for n in names.split()]
            claims = claims[1:] if speaker.wrong == "part" else claims
            said = {"say": "hello", "version": 1, "name": "svsm", "claims": claims}
        else:
            said = getattr(speaker, told["say"])(told)
        print(json.dumps(said), flush=True)


main()
