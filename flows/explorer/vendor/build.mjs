// Bundles each .mjs beside this file into ../static/vendor, as a script that leaves one name, and writes the licences of
// everything that is in a bundle. Scripts and not modules: browsers load no modules from files, as an exported page is one.
import { build } from "esbuild";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const here = import.meta.dirname;
const out = join(here, "../static/vendor");
const entries = readdirSync(here).filter((name) => name.endsWith(".mjs") && name !== "build.mjs");
const packages = new Set();
for (const entry of entries) {
  const globalName = entry[0].toUpperCase() + entry.slice(1, -".mjs".length);
  const { metafile } = await build({
    entryPoints: [join(here, entry)], outdir: out, bundle: true, minify: true, format: "iife", globalName,
    target: "es2022", legalComments: "none", metafile: true, absWorkingDir: here,
  });
  for (const input of Object.keys(metafile.inputs)) {
    const found = /^(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.add(found[1]);
  }
}
const licences = [...packages].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8"));
  const file = readdirSync(join(here, folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no licence file`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(here, folder, file), "utf8").trim()}\n`;
});
writeFileSync(join(out, "LICENSES.txt"), licences.join("\n" + "-".repeat(80) + "\n\n"));
