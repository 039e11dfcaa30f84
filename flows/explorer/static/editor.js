// The text area for SQL as an editor, CodeMirror, that completes what the lake has; Ctrl-Enter runs it.
"use strict";
{
  const { EditorView, HighlightStyle, Prec, PostgreSQL, basicSetup, keymap, sql, syntaxHighlighting, tags } = Editor;
  // The page's own colours, light and dark.
  const colours = HighlightStyle.define([
    { tag: [tags.keyword, tags.typeName], color: "var(--link)" },
    { tag: [tags.string, tags.number, tags.bool, tags.null], color: "var(--accent)" },
    { tag: tags.comment, color: "var(--faint)" },
  ]);
  const ground = { backgroundColor: "var(--raised)", color: "var(--text)" };
  const look = EditorView.theme({
    "&": { backgroundColor: "var(--ground)", color: "var(--text)", fontSize: "14px" },
    ".cm-content": { caretColor: "var(--text)", minHeight: "7em" },
    ".cm-cursor": { borderLeftColor: "var(--text)" },
    ".cm-gutters, .cm-tooltip, .cm-panels": ground,
    ".cm-activeLine, .cm-activeLineGutter": ground,
    ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--link)", color: "var(--ground)" },
    "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--mark)" },
  });
  const area = document.querySelector("textarea[data-editor]");
  const { tables, macros } = JSON.parse(document.getElementById("data-names").textContent);
  // Of names that begin alike the shortest is offered first: "docum" is `documents` before it is `document_topics`.
  const named = (label, more, children) => ({ self: { label, boost: Math.max(0, 50 - label.length), ...more }, children });
  const schema = {};
  for (const [name, columns] of Object.entries(tables)) schema[name] = named(name, { type: "type" }, columns);
  for (const { name, parameters } of macros) schema[name] = named(name, { type: "function", apply: `${name}(`, detail: `(${parameters.join(", ")})` }, []);
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
      syntaxHighlighting(colours),
      look,
      sql({ dialect: PostgreSQL, schema, upperCaseKeywords: true }),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": "SQL" }),
    ],
  });
  area.after(frame);
  area.hidden = true;
  area.form.addEventListener("submit", () => (area.value = view.state.doc.toString()));
}
