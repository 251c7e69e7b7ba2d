"""Somebody's library behind messages; see `conformance.adapters.host`."""

import os
from pathlib import Path
from typing import Any

from conformance.adapters.host import Pipe, Serve
from conformance.adapters.host_machine import Machines, NoMachine, asking
from conformance.adapters.lanes_room import Room
from conformance.adapters.library import Library, NoLibrary
from conformance.adapters.library_handoff import WroteBeyond, staged
from conformance.adapters.library_protocol import LibrarySvsm
from conformance.adapters.library_record import CouldNotMake, Record
from conformance.adapters.vcpus import NoSvsm, Vcpus
from conformance.adapters.wire import (
    Begin,
    Call,
    Greeting,
    Lanes,
    Machine,
    Message,
    Now,
    Play,
    Resume,
    Stage,
    Started,
    Svsm,
)
from conformance.device import DeviceFault

NotUsable = NoLibrary
Failed = (CouldNotMake, DeviceFault, WroteBeyond, NoMachine, NoSvsm)
ROOM = "SVSM_CONFORMANCE_ROOM"
"""The variable that tells the descriptor of the shared memory."""


def opened(target: str, pipe: Pipe) -> tuple[Greeting, Serve]:
    """A library's greeting, and what answers for it.

    Raises: NoLibrary.
    """
    library = Library(Path(target))
    records: dict[str, Record] = {}
    shared = os.environ.get(ROOM)
    room = Room(int(shared) if shared else None)

    machines: list[Machines] = []
    svsms: list[Vcpus] = []

    def svsm() -> Vcpus:
        if not svsms:
            svsms.append(Vcpus(lambda ask: LibrarySvsm(library, ask)))
        return svsms[0]

    def machine() -> Machines:
        if not machines:
            machines.append(Machines(library, asking(pipe)))
        return machines[0]

    def record(group: str) -> Record:
        if group not in records:
            records[group] = Record(library, group)
        return records[group]

    def answer(asked: Any) -> Message:
        match asked:
            case Play():
                return record(asked.group).play(asked)
            case Lanes():
                return record(asked.group).lanes(asked, room)
            case Machine():
                machine().begin(asked)
                return Started()
            case Call():
                return machine().call(asked)
            case Svsm() | Begin() | Resume() | Now():
                return svsm().answer(asked)
            case Stage():
                return staged(library, asked.call)
        raise CouldNotMake(f"a library is not asked {type(asked).__name__}")

    return library.greeting(), answer
