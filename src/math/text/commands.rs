//! What the lexer does with each LaTeX command.

/// What a command is to the lexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Space, size and style: nothing is left of it.
    Nothing,
    /// As [`Kind::Nothing`], with the group after it.
    NothingWithGroup,
    /// A symbol under another name.
    Symbol(char),
    /// A command under another name.
    Alias(&'static str),
    /// A Greek letter.
    Greek,
    /// Its group is text.
    Text,
    /// Its group is mathematics in upright letters: a name, a unit or a letter.
    Upright,
    /// Its group is mathematics in another face.
    Styled,
    /// Its group names a set of numbers.
    Blackboard,
    /// A mark on a name, such as an arrow or a bar.
    Accent,
    /// `\begin` or `\end`.
    Environment,
    /// Any other command, which the parser knows or refuses.
    Other,
}

/// Returns what a command, given without its backslash, is to the lexer.
pub(super) fn kind(name: &str) -> Kind {
    match name {
        "," | ";" | ":" | "!" | " " | "quad" | "qquad" | "thinspace" | "left" | "right" | "middle" | "big" | "Big"
        | "bigg" | "Bigg" | "bigl" | "bigr" | "Bigl" | "Bigr" | "biggl" | "biggr" | "Biggl" | "Biggr" | "limits"
        | "nolimits" | "displaystyle" | "textstyle" | "scriptstyle" | "rm" | "bf" | "it" | "large" | "Large"
        | "small" | "normalsize" | "angle" | "triangle" | "therefore" | "because" | "%" | "$" | "-" | "/" | "\n"
        | "\t" | "hfill" | "par" | "newline" | "noindent" | "strut" | "mathstrut" | "relax" | "pounds" | "euro"
        | "centering" => Kind::Nothing,
        "phantom" | "hphantom" | "vphantom" | "hspace" | "vspace" | "label" | "tag" | "color" | "textcolor"
        | "kern" | "mspace" => Kind::NothingWithGroup,
        "{" | "lbrace" => Kind::Symbol('⦃'),
        "}" | "rbrace" => Kind::Symbol('⦄'),
        "lbrack" => Kind::Symbol('['),
        "rbrack" => Kind::Symbol(']'),
        "|" | "lVert" | "rVert" | "Vert" => Kind::Symbol('‖'),
        "vert" | "lvert" | "rvert" | "mid" => Kind::Symbol('|'),
        "langle" => Kind::Symbol('⟨'),
        "rangle" => Kind::Symbol('⟩'),
        "lfloor" => Kind::Symbol('⌊'),
        "rfloor" => Kind::Symbol('⌋'),
        "lceil" => Kind::Symbol('⌈'),
        "rceil" => Kind::Symbol('⌉'),
        "cdot" | "times" | "ast" | "bullet" => Kind::Symbol('*'),
        "div" => Kind::Symbol('/'),
        "colon" => Kind::Symbol(':'),
        "le" | "leq" | "leqslant" | "leqq" => Kind::Symbol('≤'),
        "ge" | "geq" | "geqslant" | "geqq" => Kind::Symbol('≥'),
        "lt" => Kind::Symbol('<'),
        "gt" => Kind::Symbol('>'),
        "ne" | "neq" => Kind::Symbol('≠'),
        "approx" | "simeq" | "thickapprox" => Kind::Symbol('≈'),
        "in" => Kind::Symbol('∈'),
        "cup" | "bigcup" | "sqcup" => Kind::Symbol('∪'),
        "cap" | "bigcap" => Kind::Symbol('∩'),
        "setminus" | "backslash" | "smallsetminus" => Kind::Symbol('∖'),
        "pm" => Kind::Symbol('±'),
        "mp" => Kind::Symbol('∓'),
        "ldots" | "dots" | "cdots" | "dotsc" | "dotsb" | "hdots" => Kind::Symbol('…'),
        "&" => Kind::Symbol('&'),
        "_" => Kind::Symbol('_'),
        "lor" | "vee" => Kind::Alias("or"),
        "land" | "wedge" => Kind::Alias("and"),
        "dfrac" | "tfrac" | "cfrac" | "sfrac" | "nicefrac" | "frac" => Kind::Alias("frac"),
        "binom" | "dbinom" | "tbinom" => Kind::Alias("binom"),
        "varnothing" | "emptyset" => Kind::Alias("emptyset"),
        "boxed" | "fbox" => Kind::Alias("boxed"),
        "sen" => Kind::Alias("sin"),
        "tg" => Kind::Alias("tan"),
        "ctg" => Kind::Alias("cot"),
        "infin" => Kind::Alias("infty"),
        "R" | "reals" | "Reals" => Kind::Alias("Reals"),
        "imath" => Kind::Alias("i"),
        "degree" | "textdegree" | "degrees" => Kind::Alias("degree"),
        "alpha" | "beta" | "gamma" | "Gamma" | "delta" | "Delta" | "epsilon" | "varepsilon" | "zeta" | "eta"
        | "theta" | "Theta" | "vartheta" | "iota" | "kappa" | "lambda" | "Lambda" | "mu" | "nu" | "xi" | "Xi"
        | "rho" | "sigma" | "Sigma" | "tau" | "upsilon" | "phi" | "Phi" | "varphi" | "chi" | "psi" | "Psi"
        | "omega" | "Omega" | "ell" | "hbar" => Kind::Greek,
        "text" | "mbox" | "hbox" | "textbf" | "textit" | "textrm" | "textnormal" | "textsf" | "texttt" | "emph"
        | "textup" | "textsc" => Kind::Text,
        "mathrm" | "operatorname" | "mathsf" | "mathtt" | "mathup" => Kind::Upright,
        "mathbf" | "boldsymbol" | "bm" | "mathit" | "mathnormal" | "mathcal" | "mathscr" | "mathfrak" | "underline"
        | "ensuremath" | "pmb" | "bold" => Kind::Styled,
        "mathbb" | "Bbb" => Kind::Blackboard,
        "vec" | "hat" | "bar" | "overline" | "overrightarrow" | "overleftrightarrow" | "widehat" | "tilde"
        | "widetilde" | "dot" | "ddot" | "overarc" | "wideparen" => Kind::Accent,
        "begin" | "end" => Kind::Environment,
        _ => Kind::Other,
    }
}
