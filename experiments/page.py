"""Tables and figures as Markdown, and as one HTML page that needs no other file."""

import html
import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from regularizer_collection.experiments.svg import svg

_TITLE = "Regularizers compared"
_STYLE = """
:root { color-scheme: light dark; background: Canvas; color: CanvasText; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; }
.answer { font-size: 1.25em; }
nav { columns: 20em; margin: 2em 0; }
nav a { display: block; }
@media screen and (min-width: 75em) {
  body { max-width: 90em; }
  main { display: grid; grid-template-columns: 15em minmax(0, 1fr); column-gap: 3em; }
  main > * { grid-column: 2; }
  nav { columns: auto; font-size: .9em; position: sticky; top: 1em; }
  main > nav { grid-column: 1; grid-row: 1 / span 999; align-self: start; }
  nav a { margin-bottom: .4em; }
}
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
thead button { all: unset; cursor: pointer; }
thead button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
th, td { border: 1px solid #8886; padding: .25em .7em; text-align: right; }
td { white-space: nowrap; }
figure { margin: 1em 0; }
figcaption { max-width: 50em; }
svg { max-width: 100%; height: auto; }
@media print { nav { display: none; } h2 { break-after: avoid; } }
"""
_SORTABLE = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent || "row";
    head.replaceChildren(button);
    button.onclick = () => {
      const sign = head.ariaSort === "descending" ? 1 : -1;
      const key = row => {
        const text = row.cells[column].textContent, number = parseFloat(text);
        return isNaN(number) ? text : number;
      };
      const order = (a, b) => {
        if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
        return sign * (a < b ? -1 : a > b ? 1 : 0);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b))));
      heads.forEach(other => other.ariaSort = null);
      head.ariaSort = sign > 0 ? "ascending" : "descending";
    };
  });
}
"""


def markdown_page(
    tables: Mapping[str, pd.DataFrame], opening: Sequence[str], notes: Sequence[str]
) -> str:
    """Writes what came out, tables and notes.

    Args:
        tables: Tables by title.
        opening: Paragraphs: the answer, what was run.
        notes: Sentences.
    """
    parts = [f"# {_TITLE}", *(f"\n{paragraph}" for paragraph in opening)]
    for name, table in tables.items():
        parts += [f"\n## {name}\n", markdown_table(_written(table))]
    parts += ["\n## Notes\n", *(f"- {note}" for note in notes)]
    return "\n".join(parts) + "\n"


def html_page(
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
    captions: Mapping[str, str],
    opening: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Writes what came out, a contents, figures with captions, tables and notes.

    A click on the head of a column sorts a table, the highest first.

    Args:
        tables: Tables by title.
        figures: Figures by title.
        captions: What to see in each figure, by its title.
        opening: Paragraphs: the answer, what was run.
        notes: Sentences.
    """
    answer, *others = (f"<p>{html.escape(paragraph)}</p>" for paragraph in opening)
    links = [f"<a href='#{_anchor(name)}'>{html.escape(name)}</a>" for name in (*figures, *tables)]
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<meta name='viewport' content='width=device-width'><title>{_TITLE}</title>",
        f"<style>{_STYLE}</style><main><h1>{_TITLE}</h1>",
        f"<div class='answer'>{answer}</div>{''.join(others)}",
        f"<nav aria-label='contents'>{''.join(links)}<a href='#notes'>Notes</a></nav>",
    ]
    for name, figure in figures.items():
        caption = html.escape(captions[name])
        parts.append(
            f"{_heading(name)}<figure>{svg(figure, captions[name])}"
            f"<figcaption>{caption}</figcaption></figure>"
        )
    for name, table in tables.items():
        parts.append(
            f"{_heading(name)}<div class='table'>{_written(table).to_html(border=0)}</div>"
        )
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    parts.append(f"<h2 id='notes'>Notes</h2><ul>{items}</ul></main>")
    parts.append(f"<script>{_SORTABLE}</script></html>")
    return "\n".join(parts) + "\n"


def markdown_table(table: pd.DataFrame) -> str:
    """Writes a table whose names cannot end their cell."""
    return table.rename(index=_escaped, columns=_escaped).to_markdown()


def _escaped(name: object) -> str:
    return str(name).replace("|", "\\|")


def _heading(name: str) -> str:
    return f"<h2 id='{_anchor(name)}'>{html.escape(name)}</h2>"


def _anchor(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name.lower())


def _written(table: pd.DataFrame) -> pd.DataFrame:
    """Rounds numbers, names what is missing, and writes what belongs together in one column.

    That is a mean and the half-width of its interval, and the two levels of a header.
    """
    columns = {column_title(column): table[column] for column in table.columns}
    intervals = {title: _title_of_interval(title) for title in columns}
    written = {}
    for title, values in columns.items():
        if intervals[title] in columns:
            pairs = zip(values, columns[intervals[title]], strict=True)
            name = title.removesuffix(" mean") + " \N{PLUS-MINUS SIGN} 95 %"
            written[name] = [_with_interval(*pair) for pair in pairs]
        elif title not in intervals.values():
            written[title] = [_word(value) for value in values]
    return pd.DataFrame(written, index=table.index)


def _title_of_interval(title: str) -> str:
    stem = title.removesuffix("mean")
    return f"{stem}conf_interval" if stem != title else f"{title}_interval"


def column_title(column: object) -> str:
    """Writes the two levels of a header, such as a zoom level and "mean", in one name."""
    if not isinstance(column, tuple):
        return str(column)
    group, name = column
    return f"{group if isinstance(group, str) else f'zoom {group:g}'} {name}"


def _with_interval(mean: float, half_width: float) -> str:
    """Writes a mean to the second digit of its interval's half-width."""
    if half_width != half_width:
        return _word(mean)
    if half_width <= 1e-12 * abs(mean):  # equal values, but for the rounding of their sum
        return f"{_word(mean)} \N{PLUS-MINUS SIGN} 0"
    digits = 1 - math.floor(math.log10(half_width))
    numbers = (f"{round(number, digits):.{max(digits, 0)}f}" for number in (mean, half_width))
    return " \N{PLUS-MINUS SIGN} ".join(numbers)


def _word(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if value != value:
        return "not known"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
