"""Tests of dependencies.py: what it must notice. Run by lint.sh; by hand: python3 -m unittest discover scripts"""

import unittest

import dependencies

ALLOWED = {"MIT", "Apache-2.0", "BSD-3-Clause", "Unicode-3.0"}
RULES = {
    "licenses": {"allow": ["MIT"]},
    "bans": {"deny": [{"crate": "left-pad", "reason": "six lines"}]},
}


def package(**changes):
    registry = dependencies.REGISTRY[0]
    return {"name": "a", "version": "1.0.0", "license": "MIT", "source": registry, "dependencies": []} | changes


def problems(*packages):
    return dependencies.check(list(packages), RULES)[0]


class Licences(unittest.TestCase):
    def test_expressions_that_the_list_satisfies(self):
        for expression, chosen in [
            ("MIT", {"MIT"}),
            ("MIT/Apache-2.0", {"MIT"}),
            ("Apache-2.0 / MIT", {"Apache-2.0"}),
            ("Unlicense OR MIT", {"MIT"}),
            ("GPL-3.0 OR (Zlib OR MIT)", {"MIT"}),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", {"MIT", "Unicode-3.0"}),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", {"Apache-2.0"}),
        ]:
            self.assertEqual(dependencies.satisfied_by(expression, ALLOWED), chosen, expression)

    def test_expressions_that_it_does_not(self):
        for expression in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "GPL-3.0 AND MIT",
            "MIT AND (GPL-3.0 OR Zlib)",
            "Apache-2.0 WITH LLVM-exception",
            "mit",
        ]:
            self.assertIsNone(dependencies.satisfied_by(expression, ALLOWED), expression)

    def test_what_is_no_expression(self):
        for expression in [None, "", "(MIT", "MIT)", "MIT OR", "AND MIT", "MIT Apache-2.0", "()"]:
            with self.assertRaises(ValueError, msg=expression):
                dependencies.satisfied_by(expression, ALLOWED)


class Packages(unittest.TestCase):
    def test_one_that_is_as_it_should_be(self):
        self.assertEqual(problems(package()), [])

    def test_another_licence_and_none(self):
        self.assertIn("GPL-3.0, is not allowed", problems(package(license="GPL-3.0"), package())[0])
        self.assertIn("names none", problems(package(license=None), package())[0])

    def test_another_source(self):
        for source in ["git+https://example.org/a", "registry+https://example.org/index"]:
            self.assertEqual(len(problems(package(source=source))), 1, source)

    def test_a_banned_crate(self):
        self.assertIn("six lines", problems(package(name="left-pad"))[0])

    def test_any_version_will_do_in_our_own_packages_only(self):
        anything = {"name": "b", "req": "*", "path": None}
        self.assertEqual(len(problems(package(source=None, dependencies=[anything]))), 1)
        self.assertEqual(problems(package(dependencies=[anything])), [])
        ours = anything | {"path": "../b"}
        self.assertEqual(problems(package(source=None, dependencies=[ours])), [])

    def test_a_licence_that_is_allowed_for_nothing(self):
        rules = {**RULES, "licenses": {"allow": ["MIT", "Zlib"]}}
        self.assertEqual(len(dependencies.check([package()], rules)[0]), 1)

    def test_two_versions_are_a_warning(self):
        found = dependencies.check([package(), package(version="2.0.0")], RULES)
        self.assertEqual((found[0], len(found[1])), ([], 1))


if __name__ == "__main__":
    unittest.main()
