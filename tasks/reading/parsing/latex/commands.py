"""What the commands and environments of LaTeX are: symbols, accents, headings, notes, and what no reader sees.

A table and nothing else. What is not in it is not known, and what stands in its braces is text.
"""

from __future__ import annotations

import unicodedata


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _greek() -> dict[str, str]:
    """Return the Greek letters, whose names are those of Unicode but for one."""
    names = (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi"
    )
    found = {}
    for name in [*names.split(), "omega"]:
        unicode_name = name.replace("lambda", "lamda").upper()
        found[name] = unicodedata.lookup(f"GREEK SMALL LETTER {unicode_name}")
        found[name.capitalize()] = unicodedata.lookup(f"GREEK CAPITAL LETTER {unicode_name}")
    return found


LETTERS = _pairs(
    "ss ß SS ẞ ae æ AE Æ oe œ OE Œ o ø O Ø aa å AA Å l ł L Ł i ı j ȷ dh ð DH Ð th þ TH Þ dj đ DJ Đ ng ŋ NG Ŋ"
)
"""Letters: what follows is of the same word, whatever space ends the command."""

ACCENTS = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", "=": "\u0304", "u": "\u0306", ".": "\u0307",
    '"': "\u0308", "r": "\u030a", "H": "\u030b", "v": "\u030c", "d": "\u0323", "c": "\u0327", "k": "\u0328",
    "b": "\u0331", "t": "\u0361", "hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303",
    "bar": "\u0304", "dot": "\u0307", "ddot": "\u0308", "vec": "\u20d7", "acute": "\u0301", "grave": "\u0300",
    "check": "\u030c", "breve": "\u0306",
}  # fmt: skip
"""Accents, as the mark that follows the letter."""

SYMBOLS = _greek() | _pairs(
    "S § P ¶ dag † dagger † ddag ‡ ddagger ‡ copyright © textcopyright © textregistered ® texttrademark ™ pounds "
    "£ euro € texteuro € EUR € textsterling £ textyen ¥ textcent ¢ textdegree ° degree ° textbullet • bullet • "
    "textperiodcentered · cdot · cdotp · dots … ldots … textellipsis … cdots … dotsc … dotsb … vdots ⋮ ddots ⋱ hdots … "
    r"slash / textbackslash \ backslash \ textasciitilde ~ textasciicircum ^ textunderscore _ textbar | textless < "
    "textgreater > textdollar $ textquotesingle ' textquoteleft ‘ textquoteright ’ textquotedblleft “ "
    "textquotedblright ” lq ‘ rq ’ quotedblbase „ quotesinglbase ‚ glqq „ grqq “ glq ‚ grq ‘ flqq « frqq » flq ‹ "
    "frq › guillemotleft « guillemotright » guillemetleft « guillemetright » guilsinglleft ‹ guilsinglright › og "
    "« fg » textendash – textemdash — textexclamdown ¡ textquestiondown ¿ textsection § textparagraph ¶ "
    "textonehalf ½ textonequarter ¼ textthreequarters ¾ textmu µ textpm ± texttimes × textordfeminine ª "
    "textordmasculine º checkmark ✓ cmark ✓ xmark ✗ LaTeX LaTeX LaTeXe LaTeX2ε TeX TeX BibTeX BibTeX XeTeX XeTeX "
    "LuaTeX LuaTeX XeLaTeX XeLaTeX LuaLaTeX LuaLaTeX pdfTeX pdfTeX pdfLaTeX pdfLaTeX AmS AMS varepsilon ε "
    "vartheta ϑ varpi ϖ varrho ϱ varsigma ς varphi φ ell ℓ hbar ℏ imath ı jmath ȷ Re ℜ Im ℑ aleph ℵ wp ℘ partial "
    "∂ nabla ∇ infty ∞ emptyset ∅ varnothing ∅ forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ top ⊤ bot ⊥ prime ′ angle "
    "∠ triangle △ square □ Box □ diamond ⋄ star ⋆ ast ∗ circ ∘ times × div ÷ pm ± mp ∓ cap ∩ cup ∪ setminus ∖ "
    "wedge ∧ land ∧ vee ∨ lor ∨ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ leq ≤ le ≤ leqslant ≤ geq ≥ ge ≥ geqslant ≥ neq "
    "≠ ne ≠ ll ≪ gg ≫ approx ≈ sim ∼ simeq ≃ cong ≅ equiv ≡ propto ∝ doteq ≐ prec ≺ succ ≻ preceq ⪯ succeq ⪰ "
    "subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ sqsubseteq ⊑ in ∈ notin ∉ ni ∋ mid | vert | lvert | "
    "rvert | Vert ‖ lVert ‖ rVert ‖ | ‖ parallel ∥ perp ⊥ models ⊨ vdash ⊢ dashv ⊣ sum ∑ prod ∏ coprod ∐ int ∫ "
    "iint ∬ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigwedge ⋀ bigvee ⋁ to → rightarrow → gets ← "
    "leftarrow ← leftrightarrow ↔ Rightarrow ⇒ implies ⟹ Leftarrow ⇐ Leftrightarrow ⇔ iff ⟺ longrightarrow ⟶ "
    "longleftarrow ⟵ Longrightarrow ⟹ mapsto ↦ uparrow ↑ downarrow ↓ Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ "
    "hookrightarrow ↪ leadsto ⇝ rightsquigarrow ⇝ langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lbrace { "
    "rbrace } lbrack [ rbrack ] colon : surd √ dotsm ⋯ textrightarrow → textleftarrow ← # # $ $ % % & & _ _ { { } "
    "}"
) | {" ": " ", "\n": " ", "\t": " ", ",": " ", ";": " ", ":": " ", "quad": " ", "qquad": " ", "enspace": " ",
     "enskip": " ", "thinspace": " ", "space": " ", "nobreakspace": " ", "hfill": " ", ">": " ", "xspace": "",
    "mdash": "—", "ndash": "–",
    "textquotedbl": '"'}  # fmt: skip
"""What commands without an argument show."""

SILENT = _names(
    "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr limits nolimits displaystyle "
    "textstyle scriptstyle scriptscriptstyle nonumber notag rm bf it cal sf tt sc bm mathrm mathbf mathit "
    "boldsymbol protect relax overline underline "
    "mathbb mathcal mathfrak mathsf mathtt operatorname ! / - @ ensuremath allowbreak mathstrut strut null nobreak"
)
"""Commands that show nothing, in mathematics too, where the name of any other is shown: `\\sin`."""

DROPPED = (
    dict.fromkeys(_names(
        "label vspace hspace includegraphics usepackage RequirePackage documentclass documentstyle bibliography "
        "bibliographystyle addbibresource input include includeonly subfile pagestyle thispagestyle pagenumbering "
        "color pagecolor nocite index glossary hypersetup lstset geometry captionsetup usetikzlibrary tikzset "
        "pgfplotsset graphicspath selectlanguage foreignlanguage textcolor colorbox hypertarget hyperlink phantom "
        "hphantom vphantom newcounter stepcounter refstepcounter linespread cline cmidrule cellcolor rowcolor "
        "columncolor captionof PassOptionsToPackage LoadClass NeedsTeXFormat ProvidesPackage ProvidesFile "
        "ProvidesClass hyphenation AtBeginDocument AtEndDocument setmainfont setsansfont setmonofont "
        "setCJKmainfont setmainlanguage setdefaultlanguage setotherlanguage parbox raisebox scalebox rotatebox "
        "ifthenelse theoremstyle sisetup newlength newsavebox newtoggle lstinputlisting special typeout message "
        "enlargethispage value setstretch iftoggle excludecomment includecomment fontfamily fontseries fontshape "
        "fontencoding newif thanksref hyphenchar usetheme usecolortheme hskip vskip kern"
    ), 1)
    | dict.fromkeys(_names(
        "setlength addtolength setcounter addtocounter fcolorbox multicolumn multirow resizebox rule newtheorem "
        "numberwithin counterwithin fontsize DeclareUnicodeCharacter settowidth settoheight newcolumntype "
        "colorlet markboth AtBeginEnvironment setbeamertemplate setbeamercolor DeclareFontFamily import"
    ), 2)
    | dict.fromkeys(_names("definecolor addcontentsline titlespacing DeclarePairedDelimiter"), 3)
    | {"titleformat": 5, "newtheoremstyle": 9, "DeclareFontShape": 6, "hyperref": 0, "footnotemark": 0, "setlist": 1}
)  # fmt: skip
"""How many arguments of a command are not text, whatever options stand before each; what follows them is."""

REFERENCES = _names(
    "ref pageref eqref cref Cref autoref Autoref nameref vref Vref fullref subref labelcref cpageref zcref Ref "
    "figref tabref secref hyperpage"
)
"""Numbers that LaTeX finds, as those that every command with `cite` in its name shows."""

HEADINGS = _names(
    "part chapter section subsection subsubsection paragraph subparagraph addchap addsec minisec caption "
    "subcaption frametitle framesubtitle centerline"
)
"""What is a paragraph of its own."""

NOTES = _names("footnote footnotetext thanks endnote tablefootnote sidenote marginpar marginnote")

FIELDS = {"title": "title", "author": "author", "date": "date", "keywords": "keywords"}
"""What the head states, as the name of a field."""

PARAGRAPHS = _names(
    "par newpage clearpage cleardoublepage pagebreak bigskip medskip smallskip frontmatter mainmatter backmatter "
    "appendix"
)
"""What begins a paragraph."""

ITEMS = _names("item ex exi exa pex xe")
"""What begins a paragraph that may have a label. `gb4e` and its like call an example `ex`."""

LINES = _names("\\ newline linebreak tabularnewline cr gll glll gla glb glc glt glft trans")
"""What begins a line: those of glosses too."""

DEFINITIONS = _names(
    "newcommand renewcommand providecommand DeclareRobustCommand DeclareMathOperator NewDocumentCommand "
    "RenewDocumentCommand def edef gdef xdef let newenvironment renewenvironment NewDocumentEnvironment"
)

VERBATIM = {
    "verbatim": 0, "verbatim*": 0, "Verbatim": 0, "BVerbatim": 0, "lstlisting": 0, "minted": 1, "alltt": 0,
    "semiverbatim": 0, "Highlighting": 0,
}  # fmt: skip
"""Environments of code, and how many arguments each has."""

LEFT_OUT = _names("comment filecontents filecontents* tikzpicture pgfpicture picture pspicture tikzcd asy")
"""Environments whose text is no text: remarks, other files, and drawings in languages of their own."""

DISPLAYS = {
    **dict.fromkeys(_names("equation align gather multline eqnarray displaymath flalign dmath math"), 0),
    "alignat": 1, "xalignat": 1, "IEEEeqnarray": 1,
}  # fmt: skip

MATRICES = {
    **dict.fromkeys(_names("matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases dcases rcases"), 0),
    **dict.fromkeys(_names("aligned gathered split"), 0), "array": 1, "alignedat": 1, "subarray": 1,
}  # fmt: skip
"""Environments within mathematics that have rows."""

TABLES = {"tabular": 1, "tabular*": 2, "tabularx": 2, "tabulary": 2, "longtable": 1, "supertabular": 1, "tabu": 1}

ENVIRONMENTS = {
    **dict.fromkeys(_names("figure table figure* table* itemize enumerate description document"), 0),
    **dict.fromkeys(_names(
        "minipage multicols thebibliography adjustbox otherlanguage otherlanguage* spacing"
    ), 1),
    **dict.fromkeys(_names("subfigure subtable"), 1), **dict.fromkeys(_names("wrapfigure wraptable CJK CJK* list"), 2),
    "adjustwidth": 2,
}  # fmt: skip
"""Other environments whose options, and that many arguments, are not text."""

TITLED = _names("frame block exampleblock alertblock")
"""Environments whose first argument is a heading."""

STRUCTURE = frozenset((
    *DROPPED, *REFERENCES, *HEADINGS, *NOTES, *FIELDS, *DEFINITIONS, *PARAGRAPHS, *ITEMS, *LINES, "begin", "end",
    "verb", "lstinline", "url", "href", "cite", "citet", "citep", "frac", "sqrt", "texorpdfstring", "iffalse",
    "maketitle", "bibitem",
)) - {"ex", "Ref", "exa", "xe", "figref", "tabref", "secref", "trans", "cr"}  # fmt: skip
"""What stays what it is, whatever a document makes of the name."""
