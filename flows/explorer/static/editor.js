// The text area for SQL as an editor that completes what the lake has; Ctrl-Enter runs it.
import { EditorView, Prec, PostgreSQL, basicSetup, keymap, sql } from "./vendor/editor.js";

export function enhance(area) {
  const { tables, macros } = JSON.parse(document.getElementById("data-names").textContent);
  const schema = { ...tables };
  for (const { name, parameters } of macros) schema[name] = { self: { label: name, type: "function", apply: `${name}(`, detail: `(${parameters.join(", ")})` }, children: [] };
  const submit = () => {
    area.form.requestSubmit();
    return true;
  };
  // In a shadow root the editor's styles are sheets of their own; in the page they would be inline, which it refuses.
  const frame = document.createElement("div");
  const root = frame.attachShadow({ mode: "open" });
  const view = new EditorView({
    root,
    parent: root,
    doc: area.value,
    extensions: [
      Prec.highest(keymap.of([{ key: "Mod-Enter", run: submit }])),
      basicSetup,
      sql({ dialect: PostgreSQL, schema, upperCaseKeywords: true }),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": "SQL" }),
    ],
  });
  area.after(frame);
  area.hidden = true;
  area.form.addEventListener("submit", () => (area.value = view.state.doc.toString()));
}
