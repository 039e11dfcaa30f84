export { Prec } from "@codemirror/state";
export { EditorView, keymap } from "@codemirror/view";
export { PostgreSQL, sql } from "@codemirror/lang-sql";
export { basicSetup } from "codemirror";
