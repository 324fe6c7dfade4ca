// Builds the pages into dist/: one script, one style sheet, both with a hash of their content in the name and
// compressed here once instead of at every request; manifest.json names them for the server.

import { build, context } from "esbuild";
import { readdirSync, readFileSync, rmSync, mkdirSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const out = new URL("dist/", import.meta.url);

const finish = {
  name: "finish",
  setup(build) {
    build.onStart(() => {
      mkdirSync(out, { recursive: true });
      // The directory itself stays, because the server's build watches it.
      for (const name of readdirSync(out)) if (name !== ".gitkeep") rmSync(new URL(name, out));
    });
    build.onEnd((result) => {
      if (result.errors.length > 0) return;
      const named = (ending) =>
        Object.keys(result.metafile.outputs)
          .map((path) => path.split("/").at(-1))
          .find((name) => name.endsWith(ending));
      for (const name of readdirSync(out).filter((name) => !name.startsWith("."))) {
        const data = readFileSync(new URL(name, out));
        const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: data.length } };
        writeFileSync(new URL(`${name}.br`, out), brotliCompressSync(data, options));
        writeFileSync(new URL(`${name}.gz`, out), gzipSync(data, { level: 9 }));
        const size = readFileSync(new URL(`${name}.br`, out)).length;
        console.log(`${name}: ${data.length} bytes, ${size} compressed`);
      }
      // Last, because the server's build takes it as the sign that all is there.
      writeFileSync(new URL("manifest.json", out), JSON.stringify({ script: named(".js"), style: named(".css") }));
    });
  },
};

const options = {
  entryPoints: { app: new URL("src/main.tsx", import.meta.url).pathname },
  outdir: out.pathname,
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome120", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  metafile: true,
  logLevel: "warning",
  plugins: [finish],
};

if (process.argv.includes("--watch")) {
  await (await context(options)).watch();
} else {
  await build(options);
}
