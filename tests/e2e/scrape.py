"""scrape: what a program says under /metrics. Most tests ask for one figure of hundreds, so each is looked for when it is asked for.

SPDX-License-Identifier: MIT"""
import collections
import functools
import re

Histogram = collections.namedtuple("Histogram", "count sum buckets")

LINE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')


class Metrics:
    """One scrape. metrics("comet_closed_total", reason="kicked") is a number, 0 for a label not seen yet."""

    def __init__(self, text):
        self.text = text
        self._before = None  # counters and histograms say by how much they have grown since this one
        self._found = {}  # name of a sample -> labels -> value

    @functools.cached_property
    def types(self):
        return dict(re.findall(r"^# TYPE (\S+) (.*)$", self.text, re.M))

    @functools.cached_property
    def helps(self):
        return dict(re.findall(r"^# HELP (\S+) (.*)$", self.text, re.M))

    @functools.cached_property
    def samples(self):
        """All of them, (name, labels) -> value; and each line is looked at."""
        samples = {}
        for line in self.text.splitlines():
            if line == "" or line.startswith(("# TYPE ", "# HELP ")):
                continue
            match = LINE.match(line)
            assert match, f"not a line of Prometheus text: {line!r}"
            name, labels, _ = match.groups()
            rest = LABEL.sub("", labels or "")
            assert rest == "", f"labels of {line!r}"
            key = name, frozenset(LABEL.findall(labels or ""))
            assert key not in samples, f"twice in one scrape: {line!r}"
            samples[key] = self._of(name)[key[1]]
        return samples

    def _is(self, name, kind):
        return f"# TYPE {name} {kind}\n" in self.text

    def _grows(self, sample):
        return self._is(sample, "counter") or self._is(sample.rpartition("_")[0], "histogram")

    def _of(self, sample):
        """labels -> value, of the samples with this name."""
        if sample not in self._found:
            lines = re.findall(rf"^{sample}(?:\{{(.*)\}})? (\S+)$", self.text, re.M)
            before = self._before._of(sample) if self._before and self._grows(sample) else {}
            values = ((frozenset(LABEL.findall(labels)), float(value)) for labels, value in lines)
            self._found[sample] = {labels: value - before.get(labels, 0.0) for labels, value in values}
        return self._found[sample]

    def _assert_there(self, name):
        assert f"# TYPE {name} " in self.text, f"no metric {name}"

    def __call__(self, name, **labels):
        self._assert_there(name)
        return self._of(name).get(frozenset(labels.items()), 0.0)

    def total(self, name):
        """The sum over all labels."""
        self._assert_there(name)
        return sum(self._of(name).values())

    def since(self, before):
        """The same scrape, where counters and histograms say by how much they have grown."""
        after = Metrics(self.text)
        after._before = before
        return after

    def histogram(self, name):
        """Its count, its sum, and what its buckets hold, from the lowest bound up."""
        assert self._is(name, "histogram"), name
        bounds = sorted((float(dict(labels)["le"]), value) for labels, value in self._of(f"{name}_bucket").items())
        return Histogram(self._of(f"{name}_count")[frozenset()], self._of(f"{name}_sum")[frozenset()],
                         [value for _, value in bounds])
