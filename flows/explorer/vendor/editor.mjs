export { Prec } from "@codemirror/state";
export { EditorView, keymap } from "@codemirror/view";
export { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
export { PostgreSQL, sql } from "@codemirror/lang-sql";
export { basicSetup } from "codemirror";
export { tags } from "@lezer/highlight";
