"""Obligations that are not cells of the matrix: lemmas, one function each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from spec.assumptions import Assumption
from spec.prove.obligation import Obligation, Query
from spec.prove.world import Symbolic, World
from spec.sources import Source, definition
from spec.terms import Bool

Ask = Callable[[World], Query]


@dataclass
class Lemmas:
    """The lemmas of one subject, in the order in which they are written."""

    area: str
    found: list[Obligation] = field(default_factory=list)

    def lemma(
        self,
        cite: Source,
        given: Sequence[Assumption] = (),
        method: str = "pointwise",
        of: str = "",
        best: str = "bitwuzla",
    ) -> Callable[[Ask], Ask]:
        """Make a lemma of the function below; its name is the function's, its claim the docstring.

        of: what a lemma that is stated for several rules is about this time. best: who is asked
        where one solver is enough; z3 where numbers are added up.
        """

        def made(ask: Ask) -> Ask:
            name = f"{ask.__name__}[{of}]" if of else ask.__name__
            claim = (ask.__doc__ or "").strip().split("\n\n")[0]
            where = f"{self.area}/{name}"
            self.found.append(Obligation(where, claim, cite, ask, tuple(given), method, best=best))
            return ask

        return made

    def kernel(
        self,
        given: Sequence[Assumption] = (),
        method: str = "pointwise",
        of: str = "",
        cite: Source | None = None,
    ) -> Callable[["AskKernel"], "AskKernel"]:
        """Make a lemma of an algorithm, and an obligation of each demand that the algorithm makes.

        The function below gets the demands as its second argument and fills them.
        """

        def made(ask: AskKernel) -> AskKernel:
            name = f"{ask.__name__}[{of}]" if of else ask.__name__
            claim = (ask.__doc__ or "").strip().split("\n\n")[0]
            source = cite or definition("the algorithm at word level")
            effect = Obligation(
                f"{self.area}/{name}",
                claim,
                source,
                lambda world: ask(world, Demands()),
                tuple(given),
                method,
            )
            self.found.append(effect)
            demands = Demands()
            ask(Symbolic(), demands)
            for place, (what, _) in enumerate(demands.met):
                self.found.append(
                    replace(
                        effect,
                        id=f"{effect.id}.{what}-{place + 1}",
                        claim=f"{SAYS[what]} ({claim})",
                        ask=_demanded(ask, place),
                        method="partial-operation",
                    )
                )
            return ask

        return made


def _demanded(ask: "AskKernel", place: int) -> Ask:
    def only(world: World) -> Query:
        demands = Demands()
        query = ask(world, demands)
        return replace(query, then=[demands.met[place][1]])

    return only


def must(hypotheses: Sequence[Bool], *then: Bool, given: Bool = True) -> Query:
    """The query that `then` follows of `hypotheses` and `given`."""
    return Query(list(hypotheses), list(then), given)


SAYS = {
    "shift": "A shift amount is below the word size.",
    "index": "An index is inside the array.",
    "sum": "A sum does not wrap.",
    "difference": "A difference does not wrap.",
    "bit": "A word whose lowest set bit is looked for has one.",
}


@dataclass
class Demands:
    """Operations that C and Rust leave undefined somewhere, each demanding that it is defined.

    SMT shifts are total and SMT numbers wrap; a kernel's shifts are not and its numbers must not.
    An algorithm written with these collects what has to be shown of it.
    """

    met: list[tuple[str, Bool]] = field(default_factory=list)

    def demand(self, what: str, condition: Bool) -> None:
        """Note that `condition` has to be shown; `what` is a key of `SAYS`."""
        self.met.append((what, condition))


AskKernel = Callable[[World, Demands], Query]
