#!/usr/bin/env python3
"""Checks what the workspace depends on: licences, sources, banned crates, wildcard versions. Duplicates are a warning.

    dependencies.py [--offline]

The lists are those of deny.toml, so that this and `cargo deny check licenses bans sources` agree. It needs cargo and
Python 3.11 or newer (before that, the package tomli), and looks at `cargo metadata` alone.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

try:
    import tomllib
except ImportError:  # Python before 3.11
    import tomli as tomllib

# The names that Cargo.lock gives to the registry that cargo knows by itself.
REGISTRY = ("registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/")


def main():
    repository = pathlib.Path(__file__).resolve().parent.parent
    rules = tomllib.loads((repository / "deny.toml").read_text())
    packages = packages_of(repository, rules["graph"]["targets"], sys.argv[1:])
    problems, warnings = check(packages, rules)
    for warning in warnings:
        print(f"warning: {warning}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        print("hint: deny.toml has the lists; a new entry needs a sentence in the commit", file=sys.stderr)
        sys.exit(1)
    counted = collections.Counter(package["license"] for package in packages)
    print(f"{len(packages)} packages, sources and versions as they should be; their licences:")
    for expression, count in counted.most_common():
        print(f"{count:5}  {expression}")


def packages_of(repository, targets, options):
    """Every package that is built on one of `targets`, as cargo describes it."""

    def cargo(*words):
        command = ["cargo", *words, "--locked", "--all-features", *options]
        return subprocess.run(command, cwd=repository, stdout=subprocess.PIPE, check=True, text=True).stdout

    packages = {}
    for target in targets:
        # `cargo metadata` also lists optional packages that no feature asks for; `cargo tree` knows what is built.
        tree = cargo("tree", "--workspace", f"--target={target}", "--prefix=none", "--format={p}")
        built = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
        metadata = json.loads(cargo("metadata", "--format-version=1", f"--filter-platform={target}"))
        for package in metadata["packages"]:
            if (package["name"], f"v{package['version']}") in built:
                packages[package["id"]] = package
    return [packages[identifier] for identifier in sorted(packages)]


def check(packages, rules):
    """What is wrong with `packages`, and what is only worth a word."""
    problems, warnings = [], []
    allowed = set(rules["licenses"]["allow"])
    banned = {entry["crate"]: entry["reason"] for entry in rules["bans"]["deny"]}
    versions = collections.defaultdict(list)
    used = set()
    for package in packages:
        name = f"{package['name']} {package['version']}"
        versions[package["name"]].append(package["version"])
        try:
            chosen = satisfied_by(package.get("license"), allowed)
        except ValueError as error:
            problems.append(f"{name}: its licence can't be read: {error}")
        else:
            if chosen is None:
                problems.append(f"{name}: its licence, {package['license']}, is not allowed")
            used |= chosen or set()
        source = package["source"]
        if source is not None and source not in REGISTRY:
            problems.append(f"{name}: comes from {source}, not from the crates registry")
        if package["name"] in banned:
            problems.append(f"{name}: is banned: {banned[package['name']]}")
        if source is None:
            problems += wildcards(package, name)
    for licence in sorted(allowed - used):
        problems.append(f"deny.toml allows {licence}, which nothing needs")
    for crate, found in sorted(versions.items()):
        if len(found) > 1:
            warnings.append(f"{crate} is there in {len(found)} versions: {', '.join(sorted(found))}")
    return problems, warnings


def wildcards(package, name):
    """Dependencies of one of our own packages on any version at all."""
    for dependency in package["dependencies"]:
        if dependency["req"] == "*" and dependency.get("path") is None:
            yield f"{name}: takes any version of {dependency['name']}"


def satisfied_by(expression, allowed):
    """The allowed licences that satisfy an SPDX expression; None if they do not. `A/B` is the old way to write A OR B."""
    if not expression:
        raise ValueError("it names none")
    tokens = re.findall(r"\(|\)|/|[^\s()/]+", expression)
    result, rest = alternatives(tokens, allowed)
    if rest:
        raise ValueError(f"{rest[0]} is unexpected in {expression}")
    return result


def alternatives(tokens, allowed):
    result, tokens = conjunction(tokens, allowed)
    while tokens and tokens[0] in ("OR", "/"):
        other, tokens = conjunction(tokens[1:], allowed)
        if result is None:
            result = other
    return result, tokens


def conjunction(tokens, allowed):
    result, tokens = licence(tokens, allowed)
    while tokens and tokens[0] == "AND":
        other, tokens = licence(tokens[1:], allowed)
        result = None if result is None or other is None else result | other
    return result, tokens


def licence(tokens, allowed):
    if not tokens or tokens[0] in (")", "/", "AND", "OR", "WITH"):
        raise ValueError("a licence is missing in it")
    if tokens[0] == "(":
        result, tokens = alternatives(tokens[1:], allowed)
        if not tokens or tokens[0] != ")":
            raise ValueError("a bracket is missing in it")
        return result, tokens[1:]
    name, tokens = tokens[0], tokens[1:]
    if tokens[:1] == ["WITH"]:
        name, tokens = " ".join([name, *tokens[:2]]), tokens[2:]
    return ({name} if name in allowed else None), tokens


if __name__ == "__main__":
    main()
