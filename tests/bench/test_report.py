"""The page of results is rendered right, and parts that did not run stay on it."""

from __future__ import annotations

from bench import cost, drain_sizes
from bench.dnsperf import Counted
from bench.drain_cost import STEPS, Row
from bench.report import Section, Table, read_sections, render_page

TABLE = Table(["server", "µs"], [["dnsd", "2.50"], ["gdnsd", "2.00"]])


def test_a_table_is_markdown_with_figures_to_the_right() -> None:
    """The first column is words, the others are figures."""
    assert TABLE.render() == "| server | µs |\n| --- | ---: |\n| dnsd | 2.50 |\n| gdnsd | 2.00 |"


def test_a_section_says_where_it_was_measured() -> None:
    """Heading, paragraphs and the line on the machine are paragraphs of their own."""
    section = Section("Cost", ["Words.", TABLE]).render("_Measured here._")
    assert section == f"## Cost\n\nWords.\n\n{TABLE.render()}\n\n_Measured here._\n"


def test_parts_that_did_not_run_stay() -> None:
    """A page that is read and written again is the same, and one part can be replaced in it."""
    order = ["cost", "fleet"]
    first = render_page(order, {"fleet": "## Fleet\n\nold\n", "cost": "## Cost\n\nold\n"})
    sections = read_sections(first)
    assert render_page(order, sections) == first
    again = read_sections(render_page(order, {**sections, "cost": "## Cost\n\nnew\n"}))
    assert again == {"cost": "## Cost\n\nnew\n", "fleet": "## Fleet\n\nold\n"}


def test_the_cost_is_the_median_and_its_ratio_to_gdnsd() -> None:
    """Peers without figures are said to be missing, and the verdict names the target."""
    costs = {(cost.REPEATING, "gdnsd"): [2.0, 9.0, 1.0], (cost.REPEATING, "dnsd"): [2.4, 2.5, 2.2]}
    costs[cost.REPEATING, "dnsd, limits in force"] = [2.3]
    counted = Counted(completed=10, lost=0, per_second=1234.5, response_bytes=153, codes={})
    heading, table, verdict = cost.tabulate(cost.REPEATING, costs, dict.fromkeys(costs, counted))
    assert isinstance(table, Table)
    assert heading == "### Repeating"
    rows = {row[0]: list(row[1:]) for row in table.rows}
    assert rows["gdnsd"] == ["2.00", "1.00", "1,234", "153"]
    assert rows["dnsd"] == ["2.40", "1.20", "1,234", "153"]
    assert rows["NSD"][0] in ("not installed", "did not start")
    assert verdict == "dnsd takes 1.20 times what gdnsd does; the target is at most 1.25."


def test_without_gdnsd_there_is_no_ratio() -> None:
    """The verdict says that the target could not be judged."""
    counted = Counted(completed=10, lost=0, per_second=1.0, response_bytes=153, codes={})
    costs = {(cost.NEVER_TWICE, "dnsd"): [2.0]}
    *_, verdict = cost.tabulate(cost.NEVER_TWICE, costs, dict.fromkeys(costs, counted))
    assert verdict == "The target is 1.9 times gdnsd's, which was not measured."


def test_drain_cost_has_a_column_for_each_fleet() -> None:
    """Steps are lines, in their order."""
    rows = [Row(size, size // 10, 0.5, dict.fromkeys(STEPS, 1.25), 100) for size in (100, 1000)]
    table = drain_sizes.tabulate(rows)
    assert table.headings == ["", "100 nodes", "1,000 nodes"]
    assert table.rows[1] == [STEPS[0], "1.2", "1.2"]
    assert [row[0] for row in table.rows][1 : 1 + len(STEPS)] == list(STEPS)
