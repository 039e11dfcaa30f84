"""LaTeX: what a reader of the typeset document sees, and nothing that would stop a run."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from pathlib import Path

import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.latex.document import parse_latex
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, TooLargeError
from polyseme.tasks.reading.readers import read_file
from tests import document_files as made


def parsed(source: str, most_bytes: int = 1 << 24) -> Parsed | None:
    request = ParseRequest(suffix=".tex", data=b"", most_bytes=most_bytes, seconds=60, megabytes=512)
    return next(parse_latex(source.encode(), request), None)


def text(source: str) -> str:
    found = parsed(source)
    return "" if found is None else found.text


def test_a_document_is_its_text_with_what_its_head_states(tmp_path: Path) -> None:
    (tmp_path / "a.tex").write_bytes(made.latex())
    (found,) = read_file(tmp_path / "a.tex", "file:///a.tex", ReadOptions())
    assert isinstance(found, Document)
    assert found.title == "On Harbours"
    assert json.loads(found.metadata) == {"author": "A. Author", "date": "1901"}
    assert found.text == (
        "On Harbours\n\nIce\n\nThe harbour froze. In Köln, “x_i” — our x — rose.\nE = m/(c^2)\n\nEarly, too.\n\n"
        "Port\tShips\nKiel\t12\n\na % b\n\na one\n\ntwo\n\ntwo c, 3 kilometre. yes a link"
    )


def test_a_compressed_file_and_one_in_an_archive_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "b.tex.gz").write_bytes(gzip.compress(made.latex()))
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("paper/main.tex")
        info.size = len(made.latex())
        tar.addfile(info, io.BytesIO(made.latex()))
    found = [item for name in ("b.tex.gz", "c.tar.gz") for item in read_file(tmp_path / name, name, ReadOptions())]
    one, two = (item for item in found if isinstance(item, Document))
    assert one.text == two.text
    assert one.title == two.title == "On Harbours"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"Na\"{\i}ve caf\'e, stra\ss e, \AA ngstr\"om, \c{c}, {\"u}, \v s, Ti\'{\^e}ng",
         "Naïve café, straße, Ångström, ç, ü, š, Tiếng"),
        ("``One'' --- `two' -- don't?`", "“One” — ‘two’ – don't¿"),
        (r"Fig.~1, 50\% off \& more_x \{a\}", "Fig. 1, 50% off & more_x {a}"),
        ("one % two\n  three\n% four\nfive", "one three five"),
        ("one%\n\ntwo", "one\n\ntwo"),
        (r"{\it one} \textbf{two \emph{three}} \textcolor[rgb]{1,0,0}{four} \href{http://x.org/%20}{five}",
         "one two three four five"),
        (r"\unknown[width=3cm]{one}{two} \other[text]{three}", "one two [text]three"),
        (r"as in~\cite[p.~3]{a}, (\citep{a}; \cite{b}), Section~\ref{c} and Eq.~(\ref{d}).",
         "as in, Section and Eq."),
        (r"see sec.~\ref{a}. \ref{b}, \ref{c} and \ref{d} show", "see sec. show"),
        (r"$x_{i}^2 \leq \alpha$ and \(\mathbf{W} \in \mathbb{R}^{n \times k}\), $\sin x$, $\hat y$",
         "x_i^2 ≤ α and W ∈ R^{n × k}, sin x, ŷ"),
        ("so\n\\begin{align*} a &= b \\\\ c &= \\sqrt{d} \\end{align*} where $$e$$ is",
         "so\na = b\nc = √(d)\nwhere\ne\nis"),
        (r"$a \text{ if $b$}$ c", "a if b c"),
        ("Cost is $5 and no more.\n\nIt was \\$6.", "Cost is $5 and no more.\n\nIt was $6."),
        ("\\section[S]{Long {title}}\\label{x} Text.\n\\paragraph{Data.} More.",
         "Long title\n\nText.\n\nData.\n\nMore."),
        ("One\\footnote{Two $x$.} three.\n\nFour.", "One three.\n\nTwo x.\n\nFour."),
        (r"\verb|a_b%{|\lstinline!c d! \url{http://x.org/~a_b%20}", "a_b%{c d http://x.org/~a_b%20"),
        ("\\begin{lstlisting}[language=C]\nint *a; % \\b\n\\end{lstlisting} after", "int *a; % \\b\n\nafter"),
        (r"\begin{comment}no\end{comment}\begin{tikzpicture}\draw(0,0);\end{tikzpicture}yes", "yes"),
        (r"\begin{figure}[ht]\includegraphics[width=1cm]{a}\caption[s]{A port.}\end{figure}", "A port."),
        (r"\begin{tabular}{ll}\hline a&\multicolumn{2}{c}{b}\\[2pt]\cmidrule(lr){1-2} &{x\\y}\\\end{tabular}",
         "a\tb\n\tx y"),
        (r"\begin{theorem}[Lee] All ends. \end{theorem}", "(Lee) All ends."),
        (r"\begin{exe}\ex\label{a} \gll Das ist gut\\ this is good\\ \glt `This is good.' \end{exe}",
         "Das ist gut\nthis is good\n‘This is good.’"),
        (r'''\usepackage[ngerman]{babel}\begin{document}"Ubung, "`Stra"se"', Zucker"-wasser''',
         "Übung, „Straße“, Zuckerwasser"),
        (r"one \input{other} two \vspace{-2mm}\hskip 1em plus 2em three \setlength\parindent{0pt}", "one two three"),
        (r"\iffalse no \if a \fi \fi one", "one"),
        (r"\begin{thebibliography}{9}\bibitem[L]{l} Lee. Tides.\bibitem{m} Mud.\end{thebibliography}",
         "Lee. Tides.\n\nMud."),
    ],
)  # fmt: skip
def test_what_is_typeset_is_the_text(source: str, shown: str) -> None:
    assert text(source) == shown


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"\newcommand{\ours}{Mix\xspace}\ours wins, \ours.", "Mix wins, Mix."),
        (r"\newcommand{\w}[2][x]{#1-#2}\w{b} \w[c]{d}", "x-b c-d"),
        (r"\def\pair#1#2{(#1, #2)}\pair ab", "(a, b)"),
        (r"\newcommand{\todo}[1]{}one\todo{two}", "one"),
        (r"\newcommand{\norm}[1]{\left\lvert#1\right\rvert}$\norm{I}$", "| I|"),
        (r"\let\ph\emph \ph{one}", "one"),
        (r"\newcommand{\y}[1]{\@ifnextchar#1}\y{one}", "one"),
        (r"\renewcommand{\section}{\foo}\section{One}", "One"),
        (r"\newenvironment{e}[1]{Begin #1}{End}\begin{e}{one} two \end{e}", "one two"),
    ],
)
def test_macros_are_followed_and_those_that_are_programs_keep_their_text(source: str, shown: str) -> None:
    assert text(source) == shown


def test_only_what_stands_in_the_document_is_text() -> None:
    source = "\\documentclass{a}\nNo. \\foo{no}\n\\begin{document}yes\\footnotemark[1]\\end{document} no"
    assert text(source) == "yes"


def test_a_part_of_a_document_is_read_whole() -> None:
    assert text("\\section{One}\nTwo.\n\\endinput three") == "One\n\nTwo."


def test_authors_are_apart_and_thanks_are_notes() -> None:
    head = r"\title{On\\Tides\thanks{Paid.}}\author{A \\ Kiel \And B\"o}"
    found = parsed(head + r"\begin{document}\maketitle x\end{document}")
    assert found == Parsed("On, Tides\n\nPaid.\n\nx", "On, Tides", {"author": "A, Kiel; Bö"})


HALF = {
    "a brace too many": ("one} two", "one two"),
    "a brace too few": ("one {two", "one two"),
    "an open command": ("one \\textbf{two", "one two"),
    "an open section": ("one \\section{two", "one\n\ntwo"),
    "an open note": ("one \\footnote{two", "one two"),
    "an open environment": ("\\begin{document}\\begin{itemize}\\item one", "one"),
    "ends that cross": ("\\begin{a}one \\end{b}two\\end{a}", "one two"),
    "a half environment": ("one \\begin{two", "one two"),
    "a lone backslash": ("one \\", "one"),
    "open verbatim": ("\\begin{verbatim}\none", "one"),
    "open mathematics": ("\\[ \\alpha\n\none \\alpha", "α\n\none α"),
    "controls": ("one\x01two\x02\x03", "onetwo"),
}


@pytest.mark.parametrize(("source", "shown"), HALF.values(), ids=HALF)
def test_half_a_document_keeps_its_text(source: str, shown: str) -> None:
    assert text(source) == shown


@pytest.mark.parametrize(
    "source",
    [
        "\\newcommand{\\a}{\\a\\a}\\a",
        "\\def\\A{\\B\\B}\\def\\B{\\C\\C}\\def\\C{\\A\\A}\\A",
        "\\newcommand{\\a}[1]{#1#1}" + "\\a{" * 60 + "x" + "}" * 60,
        "\\newcommand{\\a}[1]{" + "#1" * 20_000 + "}\\a{" + "x" * 40_000 + "}",
        "{" * 100_000,
        "\\begin{a}" * 20_000,
        "\\footnote{" * 2_000 + "x" + "}" * 2_000,
        "\\label{" * 20_000,
        "$ a " * 20_001,
        "\\frac{" * 2_000,
        "\\let\\a\\b\\let\\b\\a\\a",
    ],
    ids=lambda source: source[:24],
)
def test_nothing_grows_or_nests_without_end(source: str) -> None:
    began = time.process_time()
    assert "word" in text(f"{source} word")
    assert time.process_time() - began < 20


def test_a_text_over_the_limit_ends_early() -> None:
    with pytest.raises(TooLargeError):
        parsed("word\n\n" * 10_000, most_bytes=1_000)


def test_a_file_of_commands_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "macros.tex").write_text("\\newcommand{\\a}{b} % c\n")
    (found,) = read_file(tmp_path / "macros.tex", "file:///macros.tex", ReadOptions())
    assert isinstance(found, Reject)
    assert found.code == "empty-text"


def test_latin_1_is_recognised() -> None:
    words = "Der Hafen war früh im März schon völlig vereist, und die Fähren fuhren nicht mehr über das Meer. " * 5
    request = ParseRequest(suffix=".tex", data=b"", most_bytes=1 << 24, seconds=60, megabytes=512)
    (found,) = parse_latex(f"\\begin{{document}}{words}".encode("latin-1"), request)
    assert found.text == words.strip()
