#!/usr/bin/env python3
"""Checks docs/assurance.md: every test, trial, file and command that it names exists, and its tables are whole.

    assurance.py [PAGE]

What it knows about the page stands in the page, under "How to read a row".
"""

import collections
import pathlib
import re
import sys

STATES = ("met", "in part", "not met", "n/a")

# A row of a table that is held to the rules: `| R-01 | what is asked | met | how |`.
ROW = re.compile(r"^\| (?P<id>\d[a-z]|[A-Z]-\d\d) \| (?P<asked>.*?) \| (?P<state>[^|]*?) \| (?P<how>.*) \|$")
# What is named in code type: nothing with a blank in it but a command.
NAMED = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")

TEST = re.compile(r"(?P<folder>[a-z-]+)/(?P<file>[a-z0-9_]+)::(?P<name>\w+)")
TRIAL = re.compile(r"proof/(?P<name>[a-z0-9-]+)")
COMMAND = re.compile(r"make (?P<target>[a-z-]+)|scripts/lint\.sh (?P<check>[a-z-]+)")
# A place in this repository: has a slash inside, and neither begins nor ends like a path or a name of another kind.
PLACE = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")

FUNCTION = re.compile(r"^\s*(?:pub(?:\([a-z]+\))? )?(?:async )?fn (\w+)")
TRIAL_OF_THE_KIT = re.compile(r'^\s*Trial\(\s*"([a-z0-9-]+)"', re.MULTILINE)


def main():
    repository = pathlib.Path(__file__).resolve().parent.parent
    page = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else repository / "docs/assurance.md"
    problems, states = check(page.read_text(), Repository(repository))
    for problem in problems:
        print(f"error: {page.name}: {problem}", file=sys.stderr)
    if problems:
        print("hint: a row names what shows it, as the page says under its first heading", file=sys.stderr)
        sys.exit(1)
    print(f"{sum(states.values())} rows: " + ", ".join(f"{states[state]} {state}" for state in STATES))


class Repository:
    """What there is to be named."""

    def __init__(self, root):
        self.root = root
        kit = (root / "tests/proof/src/main.rs").read_text()
        self.trials = set(TRIAL_OF_THE_KIT.findall(kit))
        self.targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
        listed = re.search(r"^checks=\(([^)]*)\)", (root / "scripts/lint.sh").read_text(), re.MULTILINE)
        self.checks = set(listed.group(1).split())
        self.tests = {}

    def has_place(self, name):
        return (self.root / name).exists()

    def has_test(self, folder, file, name):
        """`core/verify::a_code_works_once`: in core or tests/core, in verify.rs or in a folder verify."""
        return name in self.tests_of(folder).get(file, set())

    def tests_of(self, folder):
        if folder not in self.tests:
            tests = collections.defaultdict(set)
            for top in (self.root / folder, self.root / "tests" / folder):
                for path in sorted(top.rglob("*.rs")):
                    if "target" in path.relative_to(self.root).parts:
                        continue
                    found = tests_in(path.read_text())
                    for part in (*path.relative_to(top).parts[:-1], path.stem):
                        tests[part] |= found
            self.tests[folder] = tests
        return self.tests[folder]


def tests_in(source):
    """The functions that `cargo test` runs: those with #[test] above them, among other attributes and comments or not."""
    found, is_test, depth = set(), False, 0
    for line in source.splitlines():
        if depth > 0 or re.match(r"\s*#\[", line):
            # An attribute, which may go on for some lines.
            depth += line.count("[") - line.count("]")
            is_test |= line.strip() == "#[test]"
        elif function := FUNCTION.match(line):
            if is_test:
                found.add(function.group(1))
            is_test = False
        elif not re.match(r"\s*(//|$)", line):
            is_test = False
    return found


def check(page, repository):
    """What is wrong with the page, and how many rows are in which state."""
    problems, states, ids = [], collections.Counter(), collections.defaultdict(list)
    for number, line in enumerate(page.splitlines(), start=1):
        problems += [f"line {number}: {problem}" for problem in wrong_names(line, repository)]
        if not re.match(r"^\| *(\d[a-z]|[A-Z]-\d)", line):
            continue
        row = ROW.match(line)
        if not row:
            problems.append(f"line {number}: the row does not have the four columns id, asked, state, how")
            continue
        identifier, state = row.group("id"), row.group("state")
        ids[series(identifier)].append(identifier)
        if state not in STATES:
            problems.append(f"line {number}: {identifier} is {state!r}, which is none of {', '.join(STATES)}")
            continue
        states[state] += 1
        if state in ("met", "in part") and not shows(row.group("how")):
            problems.append(f"line {number}: {identifier} is {state}, and names nothing that shows it")
        if not row.group("asked").strip() or not row.group("how").strip():
            problems.append(f"line {number}: {identifier} has an empty column")
    for found in ids.values():
        problems += gaps(found)
    problems += wrong_counts(page, states)
    return problems, states


def series(identifier):
    return identifier[0]


def gaps(identifiers):
    """Ids that are missing between others, or stand there twice."""
    expected = f"{identifiers[0][:-1]}a" if identifiers[0][0].isdigit() else f"{identifiers[0][0]}-01"
    for identifier in identifiers:
        if identifier != expected:
            yield f"{identifier} stands where {expected} should"
        expected = after(identifier)


def after(identifier):
    if identifier[0].isdigit():
        return identifier[0] + chr(ord(identifier[1]) + 1)
    return f"{identifier[0]}-{int(identifier[2:]) + 1:02}"


def wrong_names(line, repository):
    """Everything that the line names and that does not exist."""
    for name in NAMED.findall(line):
        if test := TEST.fullmatch(name):
            if not repository.has_test(**test.groupdict()):
                yield f"there is no test {name}"
        elif "::" in name and re.fullmatch(r"[\w/:-]+", name):
            yield f"{name} is not written as folder/file::test"
        elif trial := TRIAL.fullmatch(name):
            if trial.group("name") not in repository.trials:
                yield f"there is no trial {trial.group('name')} in tests/proof"
        elif command := COMMAND.fullmatch(name):
            target, chosen = command.group("target"), command.group("check")
            if target and target not in repository.targets:
                yield f"the Makefile has no {target}"
            if chosen and chosen not in repository.checks:
                yield f"scripts/lint.sh has no check {chosen}"
        elif PLACE.fullmatch(name) and not repository.has_place(name):
            yield f"there is no {name} in the repository"
    for place in LINK.findall(line):
        if "://" not in place and not repository.has_place(f"docs/{place}"):
            yield f"the link to {place} leads nowhere"


def shows(how):
    """Whether a test, a trial, a command, a file or a page is named."""
    named = NAMED.findall(how)
    return any(pattern.fullmatch(name) for name in named for pattern in (TEST, TRIAL, COMMAND, PLACE)) or LINK.search(how)


def wrong_counts(page, states):
    """The sentence that counts the rows has to be there, and true."""
    true = (
        f"Of {sum(states.values())} rows {states['met']} are met, {states['in part']} in part, "
        f"{states['not met']} are not met, and {states['n/a']} do not apply."
    )
    said = re.search(r"^Of \S+ rows .*$", page, re.MULTILINE)
    if not said:
        yield f"a line is missing: {true}"
    elif said.group(0) != true:
        yield f"it says: {said.group(0)} It is: {true}"


if __name__ == "__main__":
    main()
