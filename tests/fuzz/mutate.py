"""Mutations of files: of bytes, of JSON, of TOML and of tables, by a generator of random numbers that is passed in."""

import copy
import json

NASTY = [
    None, True, False, 0, -1, 1, 2, 7, 0.5, -0.0, 1e308, -1e308, 10**9, 10**18, 10**30, float("nan"), float("inf"), -float("inf"),
    "", "x", "0", "nan", "..", "../../escaped", "/etc/passwd", "/dev/zero", "~nosuchuser", "a\0b", "\ud800", "\x1b[31m", "x" * 300,
    "x" * 5000, "[x](javascript:alert(1))", "![](http://host/x)", "`", "|", "[/bold]", "[bold", "{}", "os.system", "sklearn." * 2000,
    "sklearn.frozen.FrozenEstimator", "subprocess.Popen", "nnexp.BackpropMLP", "tanh", "softmax", "genetic", [], {}, [[]], [{}],
    [None], [0], [1, 1000000], [10**6] * 50, {"name": "tanh"}, {"name": []}, {"!array": "0.npy"}, {"!array": "../x"}, {"!neurons": [1]},
    {"!one_of": []}, {"!tuple": [1, 2]}, {"!dtype": "O"}, {"!mapping": [[[], 1]]}, {"!part": ["activation", "tanh", {}]},
    {"!part": ["algorithm", "genetic", {"population_size": 10**9}]}, {"low": 0, "high": 1}, {"layers": [1, 1000000], "neurons": [1, 2]},
]  # fmt: skip


def nasty(rng):
    """Return a value that no reader expects."""
    kind = rng.random()
    if kind < 0.05:
        deep = []
        for _ in range(rng.choice([10, 60, 200])):
            deep = [deep]
        return deep
    if kind < 0.08:
        return list(range(rng.choice([100, 10_000, 100_000])))
    return copy.deepcopy(rng.choice(NASTY))


def places(content, path=()):
    """List where values stand in a JSON content."""
    found = [path] if path else []
    if isinstance(content, dict):
        for key, value in list(content.items())[:200]:
            found += places(value, (*path, key))
    elif isinstance(content, list):
        for number, value in enumerate(content[:50]):
            found += places(value, (*path, number))
    return found


def mutate_json(content, rng):
    """Return the content with a few values replaced, left out, doubled or swapped."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        known = places(content)
        if not known:
            break
        *path, last = rng.choice(known)
        inner = content
        for key in path:
            inner = inner[key]
        how = rng.random()
        if how < 0.6:
            inner[last] = nasty(rng)
        elif how < 0.7:
            del inner[last]
        elif how < 0.8 and isinstance(inner[last], int | float) and not isinstance(inner[last], bool):
            inner[last] = inner[last] * rng.choice([-1, 2, 1000, 0.5]) + rng.choice([0, 1, -1])
        elif how < 0.9 and isinstance(inner, dict):
            inner[rng.choice(["", "x", "name", "key", "../x", "\x1b", *map(str, inner)])] = nasty(rng)
        elif isinstance(inner, list):
            inner.insert(last, nasty(rng))
        else:
            other = rng.choice(known)
            value = content
            for key in other:
                value = value[key]
                if not isinstance(value, dict | list):
                    break
            inner[last] = copy.deepcopy(value)
    return content


def dumped(content, rng):
    """Return JSON as a file has it; what JSON cannot say is written as Python would."""
    try:
        text = json.dumps(content, default=str)
    except RecursionError:
        text = "[" * 5000 + "]" * 5000
    return text.encode() if rng.random() < 0.95 else text.encode("utf-16")


def mutate_bytes(content, rng):
    """Return bytes with a few turned, cut, doubled or put in."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if not content:
            break
        at = rng.randrange(len(content))
        how = rng.random()
        if how < 0.4:
            content[at] ^= rng.randint(1, 255)
        elif how < 0.6:
            del content[at : at + rng.choice([1, 10, 1000])]
        elif how < 0.75:
            content[at:at] = bytes(
                rng.choice([b"\0", b"\n", b'"', b"\xff\xfe", b"1e999", b",", b"[", b"{" * 50, b"[" * 5000])
            )
        elif how < 0.9:
            content[at:at] = content[at : at + rng.choice([10, 200])]
        else:
            del content[at:]
    return bytes(content)


def mutate_table(text, rng):
    """Return a CSV table with cells, columns or rows changed."""
    rows = [line.split(",") for line in text.split("\n") if line]
    for _ in range(rng.choice([1, 1, 2, 4])):
        row = rng.choice(rows) if rows else []
        if not row:
            break
        at = rng.randrange(len(row))
        how = rng.random()
        if how < 0.6:
            row[at] = _cell(nasty(rng))
        elif how < 0.7:
            del row[at]
        elif how < 0.8:
            row.insert(at, _cell(nasty(rng)))
        elif how < 0.9:
            rows.insert(rng.randrange(len(rows)), list(row))
        else:
            rows.remove(row)
    return "\n".join(",".join(row) for row in rows) + "\n"


def _cell(value):
    text = str(value)
    return f'"{text}"' if "," in text or "\n" in text else text


def mutate_toml(text, rng):
    """Return a TOML text with values, keys or lines changed."""
    lines = text.split("\n")
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(lines))
        how = rng.random()
        key, equals, _value = lines[at].partition("=")
        if equals and how < 0.6:
            lines[at] = f"{key}= {_toml(nasty(rng))}"
        elif how < 0.7:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif how < 0.8:
            del lines[at]
        elif how < 0.9:
            lines[at] = mutate_bytes(lines[at].encode(), rng).decode(errors="replace")
        else:
            lines.insert(
                at, f"{rng.choice(['max_iter', 'activation', 'class', 'path', 'space', 'x'])} = {_toml(nasty(rng))}"
            )
    return "\n".join(lines)


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(own)}" for key, own in value.items()) + " }"
    if isinstance(value, list):
        depth, inner = 0, value
        while isinstance(inner, list) and len(inner) == 1:
            depth, inner = depth + 1, inner[0]
        if depth > 50:
            return "[" * depth + "]" * depth
        return "[" + ", ".join(_toml(own) for own in value) + "]"
    if value is None:
        return '"none"'
    if isinstance(value, float):
        return str(value)
    return json.dumps(value)
