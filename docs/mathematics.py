"""Mathematics as docstrings write it, x_t = α x_0 + σ ε, found among words and translated into LaTeX.

What is not understood raises Unclear, and its reader leaves it as it was: no formula is better than a wrong one.
"""

import re
import unicodedata
from collections.abc import Iterator

Piece = tuple[str, str]
"""(kind, text) of a token; the kinds of what `pieces` yields are "math", "code" and "text"."""

FUNCTIONS = ("ln", "log", "exp", "sin", "cos", "tan", "tanh", "arctan", "min", "max", "tr")
NAMES = ("KL", "Cov", "Var", "SNR", "SW", "MMD", "softmax", "diag", "mean", "variance", "error", "scale", "std")
"""Words that are mathematics where they have an argument, an index or a power."""
STOP = "the of in to is are and or for from by with where than at each its on an which so as it"
"""Words that end mathematics, whatever is beside them."""
GREEK = r"""α \alpha β \beta γ \gamma δ \delta ε \varepsilon η \eta θ \theta λ \lambda μ \mu ν \nu π \pi ρ \rho σ \sigma
τ \tau φ \varphi χ \chi ω \omega ℓ \ell Δ \Delta Φ \Phi"""
SYMBOLS = r"""½ \tfrac12 ∏ \prod ∫ \int Σ \sum ∂ \partial ∇ \nabla ∞ \infty … \dots ∈ \in ∝ \propto ≈ \approx ≤ \le
≥ \ge ≠ \ne ± \pm × \times · \cdot ← \gets → \to ↦ \mapsto ‖ \| ~ \sim − -"""
LETTERS, SIGNS = (dict(zip(pairs.split()[::2], pairs.split()[1::2], strict=True)) for pairs in (GREEK, SYMBOLS))
ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0307": r"\dot"}
SCRIPTS = dict(
    zip("⁰¹²³⁴⁻ᵀ*₀₁₂₃", ("^0", "^1", "^2", "^3", "^4", "^-", r"^\top", "^*", "_0", "_1", "_2", "_3"), strict=True)
)


def nested(opening: str, closing: str, depth: int = 4) -> str:
    """A pattern of brackets within brackets."""
    inside = rf"[^{opening}{closing}]"
    content = f"{inside}*"
    for _ in range(depth):
        content = rf"(?:{inside}|{opening}{content}{closing})*"
    return f"(?:{opening}{content}{closing})"


ROUND, SQUARE = nested(r"\(", r"\)"), nested(r"\[", r"\]", 1)
LETTER = rf"(?:[A-Za-z{''.join(LETTERS)}][{''.join(ACCENTS)}]*)"
INDEX = rf"[A-Za-z\d{''.join(LETTERS)}]+[{''.join(ACCENTS)}]*(?:,\w(?![\w{''.join(ACCENTS)}]))?"
SCRIPT = rf"(?:[_^](?:\{{[^{{}}]*\}}|{INDEX})|[{''.join(SCRIPTS)}′])"
BRACKETS = rf"(?:{ROUND}|{SQUARE})"
WORD = r"[A-Za-zÀ-ž]"
DIFFERENTIAL = rf"d(?:[xytwucrbFσλℓ][{''.join(ACCENTS)}]*)"
TOKENS = {
    "space": r"\s+",
    "code": r"(?P<tick>`+).+?(?P=tick)|\"\w+\"|[a-z]+\*\*\d",
    "cite": r"(?<=\s)\[(?:[A-Z][^\W\d_]+[ ,]|iterated)[^\]]*(?:\]|$)|(?<=\s)\[\d\d+\]",
    "function": rf"(?<![\w.])(?:(?:{'|'.join(FUNCTIONS)})(?![\w-]){SCRIPT}*{ROUND}?"
    rf"|(?:{'|'.join(NAMES)})(?=[_(\[]|{SCRIPT}){SCRIPT}*{BRACKETS}?){SCRIPT}*",
    "differential": rf"(?<![\w.]){DIFFERENTIAL}{SCRIPT}*(?![\w'’=(])",
    "snippet": rf"\.?[A-Za-z][A-Za-z\d]\w*(?:\.\w+)*{BRACKETS}+(?:\.\w+{ROUND}?)*(?: -> (?:{ROUND}|\w+))?"
    r"|[A-Za-z]\w+=(?:\"\w*\"|(?:[\w.]*\w)?)|[A-Za-z][A-Za-z\d]\w*_\w+|[A-Za-z]\w*\.[a-z_]\w+(?:\.\w+)*|(?<!\w)\.[a-z]\w+",
    "name": r"(?<!\w)(?:[a-z]+\d\w*|(?:eps|ts|rng|lam|eta|theta|lr|grad|nfe|vjp)(?![\w-]))",
    "word": rf"{WORD}{{2,}}+(?:[-'’.]{WORD}+)*+(?:\+\+(?:\(2M\))?)?(?!{SCRIPT})|['’]s\b"
    r"|(?<!\w)[Aa](?=[ ,.:;)]|$)(?! ?=)",
    "number": r"\d[\d,]*\d(?:\.\d+)?(?:e-?\d+)?|\d*\.?\d+(?:e-?\d+)?",
    "interval": r"\[[−\w.]+, [−\w.∞]+[\])]",
    "symbol": rf"(?:{WORD}{{2,}}+(?={SCRIPT})|{LETTER}){SCRIPT}*{BRACKETS}?{SCRIPT}*",
    "group": rf"{BRACKETS}{SCRIPT}*",
    "arrow": r"->",
    "operator": r"[−+=/<>≤≥≠≈∝∈±×·←→↦~|@]|\.\.(?!\.)",
    "sign": rf"√(?:{LETTER}+{SCRIPT}*{ROUND}?|\d+|{ROUND})|\.\.\.|[½∏∫Σ∂∇‖∞…](?:{SCRIPT})*",
    "other": r".",
}
SCANNER = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in TOKENS.items()), re.DOTALL)
STRONG = {"function", "differential", "symbol", "sign", "interval"}


class Unclear(ValueError):
    """The text is not mathematics that we can translate."""


def pieces(text: str) -> Iterator[Piece]:
    """The text as ("math", as it is written), ("code", without its quotes), ("cite", …) and ("text", …)."""
    tokens = [
        (match.lastgroup if match.lastgroup != "tick" else "code", match[0])
        for match in SCANNER.finditer(unicodedata.normalize("NFD", text))
    ]
    i = 0
    while i < len(tokens):
        end = run(tokens, i)
        if end > i:
            yield "math", "".join(token for _, token in tokens[i:end])
            i = end
            continue
        kind, token = tokens[i]
        token = unicodedata.normalize("NFC", token)
        if kind in ("code", "snippet", "name"):
            yield "code", token.strip("`")
        elif kind == "group" and len(inside := token[1:-1]) > 1 and token[-1] in ")]":
            yield from [("text", token[0]), *pieces(inside), ("text", token[-1])]
        else:
            yield ("cite" if kind == "cite" else "text"), token
        i += 1


def run(tokens: list[Piece], start: int) -> int:
    """Where the mathematics ends that begins at a token; start if none does."""
    end, strong, expecting = start, False, True
    if tokens[start][0] == "space":
        return start
    for i in range(start, len(tokens)):
        kind, token = tokens[i]
        spaced = i > start and tokens[i - 1][0] == "space"
        follows = tokens[i + 1 : i + 2]
        if kind == "space":
            continue
        if kind == "operator":
            unary = token in "−+" and follows and follows[0][0] != "space"
            if (i == start and not unary) or (unary and spaced and not expecting):
                break
            expecting = True
            continue
        if not expecting and not strong_join(tokens, i, start, spaced):
            break
        if kind in ("word", "name", "snippet", "number"):
            if kind != "number" and (token.lower() in STOP.split() or not operated(tokens, i, start)):
                break
        elif kind == "group":
            if not tuple_like(token, expecting and i > start):
                break
            strong = True
        elif kind not in STRONG:
            break
        strong |= kind in STRONG
        expecting, end = False, i + 1
    return end if strong else start


def strong_join(tokens: list[Piece], i: int, start: int, spaced: bool) -> bool:
    """Whether a token goes on with the mathematics before it without an operator between them: a product."""
    kind, token = tokens[i]
    before = next(tokens[j] for j in range(i - 1, start - 1, -1) if tokens[j][0] != "space")
    if kind == "group":
        return not (spaced and "," in token)  # x (B, D) is no product
    if kind == "number":
        return not spaced or before[1] in FUNCTIONS
    return kind in STRONG


def operated(tokens: list[Piece], i: int, start: int) -> bool:
    """Whether a word has an operator at its side: decay · ema."""
    sides = [t for t in (tokens[max(start, i - 2) : i], tokens[i + 1 : i + 3]) if len(t) == 2 or t]
    return any(kind == "operator" and token not in "|" for side in sides for kind, token in side if kind != "space")


def tuple_like(token: str, operand: bool) -> bool:
    """Whether brackets hold mathematics: (B, D), (1 + w), (ε̂, pull), and not (see the module)."""
    inner = re.sub(rf"{SCRIPT}*$", "", token)[1:-1]
    if re.fullmatch(r"\w+(?: ?[−+/] ?\w+)+", inner):
        return True
    found = list(pieces(inner))
    plain = "".join("\0" if kind == "math" else text for kind, text in found)
    parts = [part.strip() for part in plain.split(",")]
    if any(re.search(r"[^\W\d_]+\s+[^\W\d_]+|[^\w\s\0.|−+%]", part) for part in parts):
        return False
    short = operand and len(parts) > 1 and all(len(part) < 9 for part in parts)
    return "\0" in plain or short or bool(re.fullmatch(r"[A-Z\d |]+,[A-Z\d, |]*", plain))


LATEX = re.compile(
    rf"(?P<space>\s+)|√(?P<root>{ROUND}|[A-Za-z]{{2,}}|{LETTER}{SCRIPT}*{ROUND}?|\d+)|(?P<script>[_^](?:\{{[^{{}}]*\}}|{INDEX}))"
    rf"|(?P<raised>[⁻]?[{''.join(SCRIPTS)}])|(?P<differential>(?<![A-Za-z]){DIFFERENTIAL}(?![A-Za-z]))|(?P<name>[A-Za-zÀ-ž]{{2,}}(?:[-_][A-Za-z]{{2,}})*(?:(?<=_\w\w\w)_\w\b)?\d*)|(?P<letter>{LETTER})"
    r"|(?P<power>\d*\.?\d+e-?\d+)|(?P<number>[\d,]*\d(?:\.\d+)?|\.\d+)|(?P<dots>\.\.\.?)|(?P<other>.)"
)


def latex(text: str) -> str:
    """The LaTeX of mathematics in plain text. Raises Unclear for a character that has no translation here."""
    return re.sub(r" +", " ", "".join(map(translated, LATEX.finditer(unicodedata.normalize("NFD", text))))).strip()


def translated(match: re.Match) -> str:
    """One token in LaTeX."""
    kind, token = match.lastgroup, match[match.lastgroup]
    before, after = match.string[: match.start()], match.string[match.end() :]
    if kind == "root":
        return rf"\sqrt{{{latex(token[1:-1] if token[0] == '(' else token)}}}"
    if kind == "script":
        return f"{token[0]}{{{index(token[1:].strip('{}'))}}}"
    if kind == "raised":
        scripts = [SCRIPTS[sign] for sign in token]
        return f"{scripts[0][0]}{{{' '.join(script[1:] for script in scripts)}}}"
    if kind == "differential":
        return f"d{latex(token[1:])}"
    if kind == "name":
        return word(token, before, after)
    if kind == "letter":
        base, *accents = token
        letter = LETTERS.get(base, base) + " " * (base in LETTERS)
        if base == "E" and re.match(r"[\[_‖]| [\[‖kvKfl]", after):
            letter = r"\mathbb{E}" + r"\," * after.startswith(" ")
        if base == "N" and after.startswith("("):
            letter = r"\mathcal{N}"
        for accent in accents:
            letter = f"{ACCENTS[accent]}{{{letter.strip()}}}"
        return letter
    if kind == "power":
        digits, _, exponent = token.partition("e")
        return ("" if digits == "1" else rf"{digits}\cdot ") + f"10^{{{exponent}}}"
    if kind == "number":
        return token.replace(",", "{,}")
    if kind in ("space", "dots"):
        return " " if kind == "space" else r"\dots "
    if token == "|":
        return r" \mid " if before.endswith(" ") and after.startswith(" ") else "|"
    if token == "," and after.startswith(")"):
        return "{,}"  # (B,)
    if token in SIGNS:
        return SIGNS[token] + " "
    if token in "()[]+-=/<>,.;:@":
        return token.replace("<", r"\lt ").replace(">", r"\gt ")
    if token == "′":
        return "'"
    raise Unclear(f"{token!r} in {match.string!r}")


def index(text: str) -> str:
    """What stands in an index or a power: max upright, ij not."""
    if text.isascii() and text.isalpha():
        return text if len(text) < 3 else rf"\mathrm{{{text}}}"
    return latex(text)


def word(token: str, before: str, after: str) -> str:
    """A word within mathematics."""
    if token in FUNCTIONS:
        return (rf"\operatorname{{{token}}}" if token == "tr" else rf"\{token}") + " "
    if token == "vv":
        return token
    if token in NAMES and after[:1] in ("(", "[", "_", "²", "₂"):
        return rf"\operatorname{{{token}}}"
    if len(token) == 2 and token.isalpha() and re.search(rf"[{''.join(LETTERS)}\d]$", before):
        return token
    space = r"\ " if re.match(r" [\w(]", after) else ""
    return rf"\text{{{token.replace('_', chr(92) + '_')}}}{space}"
