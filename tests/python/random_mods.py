# SPDX-License-Identifier: Apache-2.0
"""Random score mods, each as a program text for fovea and as a function for torch."""

import random
from dataclasses import dataclass

import torch

HEADS, LENGTH = 4, 12
# Multiples of 1/2, so that ties and kinks are met exactly.
GRID = [x / 2 for x in range(-6, 7)]

UNARY = {
    "-": torch.neg,
    "abs": torch.abs,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "log": torch.log,
    "log2": torch.log2,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "round": torch.round,
}
INFIX = {"+": torch.add, "-": torch.sub, "*": torch.mul, "/": torch.div, "%": torch.remainder}
BINARY = {"min": torch.minimum, "max": torch.maximum, "pow": torch.pow}
COMPARE = {"<": torch.lt, "<=": torch.le, "==": torch.eq, "!=": torch.ne}
READS = (
    ("t0[h]", lambda e: e["t0"][e["h"]]),
    ("t1[b][q]", lambda e: e["t1"][e["b"], e["q"]]),
    (f"t2[q - kv + {LENGTH}]", lambda e: e["t2"][e["q"] - e["kv"] + LENGTH]),
    ("f32(q / 2)", lambda e: (e["q"] // 2).double()),
    ("f32((h + kv) % 3)", lambda e: ((e["h"] + e["kv"]) % 3).double()),
)


@dataclass
class Mod:
    text: str
    steps: list  # (name, function of the environment)
    tensors: list
    params: list
    operations: set

    def torch(self, **inputs):
        """The result at vectors of elements; inputs: score, b, h, q, kv, t0, ..., p0, ..."""
        environment = dict(inputs)
        for name, function in self.steps:
            environment[name] = function(environment)
        return environment[self.steps[-1][0]]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        generator = torch.Generator().manual_seed(seed)

        def table(*sizes):
            return torch.randint(-6, 7, sizes, generator=generator).double() / 2

        self.tensors = [table(HEADS), table(2, LENGTH), table(2 * LENGTH), table()]
        self.params = [self.random.choice(GRID) for _ in range(2)]
        self.floats = ["score", "p0", "p1", "t3"]
        self.lines, self.steps, self.operations = [], [], set()

    def add(self, operation, text, function):
        name = f"v{len(self.steps)}"
        self.operations.add(operation)
        self.lines.append(f"{name} = {text}")
        self.steps.append((name, function))
        self.floats.append(name)
        return name

    def pick(self):
        recent = self.random.random() < 0.6
        return self.floats[-1] if recent else self.random.choice(self.floats)

    def rival(self):
        """For min and max: a parameter, or what simplifies to one, is a bound as in torch.clamp."""
        name = self.pick()
        return self.read() if name.startswith("p") else name

    def unary(self):
        name, a = self.random.choice(list(UNARY)), self.pick()
        text = f"-{a}" if name == "-" else f"{name}({a})"
        return self.add(name, text, lambda e: UNARY[name](e[a]))

    def infix(self):
        name, a, b = self.random.choice(list(INFIX)), self.pick(), self.pick()
        return self.add(f"{name} of two", f"{a} {name} {b}", lambda e: INFIX[name](e[a], e[b]))

    def binary(self):
        name = self.random.choice(list(BINARY))
        a, b = self.rival(), self.rival()
        return self.add(name, f"{name}({a}, {b})", lambda e: BINARY[name](e[a], e[b]))

    def power(self):
        a, exponent = self.pick(), self.random.choice((-1.5, -1.0, 0.5, 2.0, 3.0))
        return self.add("power", f"pow({a}, {exponent})", lambda e: torch.pow(e[a], exponent))

    def clamp(self):
        a, (low, high) = self.pick(), sorted(self.random.choices(GRID, k=2))
        text = f"clamp({a}, {low}, {high})"
        return self.add("clamp", text, lambda e: torch.clamp(e[a], low, high))

    def where(self):
        name = self.random.choice(list(COMPARE))
        x, y, a, b = self.pick(), self.pick(), self.pick(), self.rival()
        return self.add(
            "where",
            f"where({x} {name} {y}, {a}, {b})",
            lambda e: torch.where(COMPARE[name](e[x], e[y]), e[a], e[b]),
        )

    def read(self):
        text, function = self.random.choice(READS)
        return self.add("read", text, function)

    def make(self, steps):
        kinds = [self.unary, self.unary, self.infix, self.infix, self.binary]
        kinds += [self.power, self.clamp, self.where, self.read]
        for _ in range(steps):
            self.random.choice(kinds)()
        # Slots are numbered as the result reaches them, so it reaches all in order.
        order = "(p0 + p1 + t0[0] + t1[0][0] + t2[0] + t3) * 0.0"
        text = (
            "score_mod(score, b, h, q, kv;"
            f" p0: f32 = {self.params[0]}, p1: f32 = {self.params[1]},"
            " t0: f64[1], t1: f64[2], t2: f64[1], t3: f64[0]) {\n"
            + "\n".join(self.lines)
            + f"\nreturn {order} + {self.floats[-1]} }}"
        )
        return Mod(text, self.steps, self.tensors, self.params, self.operations)


def random_mod(seed, steps):
    return Maker(seed).make(steps)
