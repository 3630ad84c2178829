"""Mutation testing: `make mutants` changes one operator, constant or comparison of the mathematics at a time.

mutmut makes the mutants and runs, for each, the tests that reach its function, the fastest first, until one fails.
Only mutants of arithmetic, constants, comparisons and conditions count: a changed string is a message, and an argument
replaced by None mostly a TypeError. A run that was stopped goes on where it was; survivors are tried again once a test
has changed. The report gives the score of each module and every survivor; those that no test can tell from the truth
stand in mutants-equivalent.md, each with its reason.

    python tests/mutation.py                            everything
    python tests/mutation.py 'tinydiff.grids*'          what the patterns name
    python tests/mutation.py --sample 400 --seed 0      so many of them, drawn with a seed
    python tests/mutation.py --report                   the last results, without a run
"""

import argparse
import ast
import fnmatch
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path

ROOT = Path(__file__).parent.parent
MUTANTS = ROOT / "mutants"
EQUIVALENT = ROOT / "tests" / "mutants-equivalent.md"
ANY = "tinydiff.grids.x__finished__mutmut_1"
SKIPPED = 34  # mutmut's exit code for what it is not to run
WAITING = {None, 2, SKIPPED}
OPERATORS = ast.operator | ast.cmpop | ast.boolop | ast.unaryop | ast.AugAssign | ast.Break | ast.Continue
KILLED = {1, 3, 24, -24, 36, 152, 255, -9, -11}  # a failed test, or a mutant that never ends


@dataclass(frozen=True)
class Mutant:
    name: str
    """module.function__mutmut_number, mutmut's own."""
    before: str
    after: str
    exit_code: int | None

    @property
    def module(self) -> str:
        """The module that it is in."""
        return re.sub(r"\.x[_ǁ].*", "", self.name)

    @property
    def function(self) -> str:
        """The function, as one writes it."""
        return re.sub(r"\.x_?|__mutmut_\d+$", "", self.name[len(self.module) :]).replace("ǁ", ".").strip(".")

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it in mutants-equivalent.md; mutmut's numbers move with every edit."""
        return f"{self.module}.{self.function}".removeprefix("tinydiff."), self.before, self.after


def is_mathematics(before: ast.AST, after: ast.AST) -> bool:
    """Whether two trees first differ in an operator, a number, a truth value, a comparison or a condition."""
    warns = isinstance(before, ast.Call) and ast.unparse(before.func) == "warnings.warn"
    if warns or isinstance(before, ast.Raise | ast.JoinedStr):
        return False
    if type(before) is not type(after):
        unary = isinstance(before, ast.UnaryOp) and ast.dump(before.operand) == ast.dump(after)
        condition = isinstance(after, ast.BoolOp) and not isinstance(before, ast.BoolOp)
        return unary or condition or isinstance(before, OPERATORS)
    if isinstance(before, ast.Constant):
        return isinstance(before.value, bool | int | float | complex) and after.value is not None
    if isinstance(before, ast.keyword) and before.arg == "strict":  # zip's guard, idle where lengths agree
        return False
    for name in before._fields:
        old, new = (x if isinstance(x, list) else [x] for x in (getattr(before, name), getattr(after, name)))
        if len(old) != len(new):
            return False
        for a, b in zip(old, new, strict=True):
            if isinstance(a, ast.AST) and isinstance(b, ast.AST) and ast.dump(a) != ast.dump(b):
                return is_mathematics(a, b)
    return False


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(tree) if "__mutmut_" in getattr(node, "name", "")}


def changed_line(lines: list[str], before: ast.FunctionDef, after: ast.FunctionDef) -> tuple[str, str]:
    """The line that differs, in both forms; of the signature, which mutmut rewrites, the arguments."""
    old, new = (lines[f.lineno : f.end_lineno] for f in (before, after))
    changes = list(ndiff(old, new))
    gone, come = (" ".join(line[2:].strip() for line in changes if line.startswith(mark)) for mark in "-+")
    return (gone, come) if gone or come else (ast.unparse(before.args), ast.unparse(after.args))


def mutants_of(meta: Path) -> Iterator[Mutant]:
    """Those of one module that count."""
    source = meta.with_suffix("").read_text(encoding="utf-8")
    lines, found = source.splitlines(), functions(ast.parse(source))
    for name, exit_code in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
        after = found[name.rpartition(".")[2]]
        before = found[re.sub(r"\d+$", "orig", after.name)]
        trees = (ast.Module([*f.args.defaults, *f.args.kw_defaults, *f.body], []) for f in (before, after))
        if is_mathematics(*trees):
            yield Mutant(name, *changed_line(lines, before, after), exit_code)


def metas() -> list[Path]:
    return sorted((MUTANTS / "tinydiff").rglob("*.py.meta"))


def mutmut(*arguments: str) -> None:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # threads do not survive a fork
    command = [Path(sys.executable).with_name("mutmut"), "run", *arguments]
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        sys.exit("mutmut stopped; what it printed above says why.")


def set_exit_codes(choose: Callable[[str, int | None], int | None]) -> None:
    """Give every mutant the exit code that choose(name, its exit code) says."""
    for meta in metas():
        data = json.loads(meta.read_text(encoding="utf-8"))
        codes = data["exit_code_by_key"]
        data["exit_code_by_key"] = {name: choose(name, code) for name, code in codes.items()}
        meta.write_text(json.dumps(data, indent=4), encoding="utf-8")


def drawn(sample: int | None, seed: int) -> set[str]:
    """The names of the mutants that count, or of a sample of them, which is the same as long as the library is."""
    names = sorted(mutant.name for meta in metas() for mutant in mutants_of(meta))
    return set(names if sample is None else random.Random(seed).sample(names, sample))


def run(patterns: list[str], sample: int | None, seed: int) -> None:
    """Make the mutants, put aside what does not count or was not drawn, and try what has no result yet."""
    mutmut(ANY)
    wanted = drawn(sample, seed)
    tests = b"".join(path.read_bytes() for path in sorted((ROOT / "tests").rglob("*.py")))
    seen = MUTANTS / "tests.sha256"
    again = seen.exists() and seen.read_text(encoding="utf-8") != hashlib.sha256(tests).hexdigest()
    seen.write_text(hashlib.sha256(tests).hexdigest(), encoding="utf-8")

    def choose(name: str, code: int | None) -> int | None:
        if name not in wanted or not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            return SKIPPED if code in (None, SKIPPED) else code
        return None if code == SKIPPED or (again and code not in KILLED) else code

    set_exit_codes(choose)
    mutmut()


def equivalent() -> set[tuple[str, str, str]]:
    """The keys of mutants-equivalent.md: rows | `function` | `before` | `after` | reason |."""
    rows = re.findall(
        r"^\| `(.*?)` \| `` (.*?) `` \| `` (.*?) `` \| .+ \|$", EQUIVALENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {tuple(cell.replace("\\|", "|") for cell in row) for row in rows}


def report(wanted: set[str]) -> bool:
    """Print the scores and survivors; whether .95 of each module's mutants are killed and the others justified."""
    if not metas():
        sys.exit("there are no results yet: `make mutants` makes them.")
    known, good = equivalent(), True
    print(f"\n{'module':32}{'mutants':>9}{'killed':>8}{'score':>8}{'equivalent':>12}{'alive':>7}{'waiting':>9}")
    alive = []
    for meta in metas():
        mutants = [mutant for mutant in mutants_of(meta) if mutant.name in wanted]
        if not mutants:
            continue
        killed = [m for m in mutants if m.exit_code in KILLED]
        waiting = [m for m in mutants if m.exit_code in WAITING]
        survivors = [m for m in mutants if m not in killed and m not in waiting]
        here = [m for m in survivors if m.key not in known]
        alive += here
        score = len(killed) / max(1, len(mutants) - len(waiting))
        good &= score >= 0.95 and not here and not waiting
        counts = f"{len(survivors) - len(here):12}{len(here):7}{len(waiting):9}"
        print(f"{mutants[0].module:32}{len(mutants):9}{len(killed):8}{score:8.3f}{counts}")
    for m in alive:
        print(f"\n{m.name}  (exit code {m.exit_code})\n  - {m.before}\n  + {m.after}")
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", default=["*"], help="names of mutants, with * for any characters")
    parser.add_argument("--sample", type=int, help="how many to draw; all unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--report", action="store_true", help="print the last results")
    arguments = parser.parse_args()
    if not arguments.report:
        run(arguments.patterns, arguments.sample, arguments.seed)
    sys.exit(0 if report(drawn(arguments.sample, arguments.seed)) else 1)
