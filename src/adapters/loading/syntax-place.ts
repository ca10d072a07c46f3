/**
 * **In**: a module that failed to load by a syntax error. **Out**: the place of the error, which Node does not tell of an
 * ES module in a package of `"type": "module"`: `node --check` does. **Fails**: never; undefined if it finds none.
 */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';

const MAX_FILES = 50; // each takes some 40 ms
const CHECK_TIMEOUT_MS = 5_000;
const SCRIPT = /\.[cm]?js$/;

/** `FILE:LINE:COLUMN`. The error may be in a file that the module imports, so the scripts of its folder are checked, too. */
export async function placeBySyntaxCheck(file: string): Promise<string | undefined> {
  const folder = dirname(file);
  const others = await readdir(folder, { recursive: true }).catch(() => []);
  const scripts = others
    .filter((name) => SCRIPT.test(name) && !name.split(sep).includes('node_modules'))
    .map((name) => join(folder, name))
    .filter((path) => path !== file);
  for (const path of [file, ...scripts.toSorted()].slice(0, MAX_FILES)) {
    const place = placeInExcerpt(await checked(path));
    if (place !== undefined) return place;
  }
  return undefined;
}

/** The output of `node --check` for a file; empty if its syntax is valid. */
const checked = async (path: string): Promise<string> =>
  new Promise((resolve) => {
    execFile(process.execPath, ['--check', path], { timeout: CHECK_TIMEOUT_MS }, (_, _stdout, stderr) => {
      resolve(stderr);
    });
  });

const MAX_EXCERPT_LINES = 8;

/** Of `FILE:LINE`, a line of source, and a line of carets, as Node writes above the message of a syntax error. */
export function placeInExcerpt(text: string): string | undefined {
  const [first = '', ...below] = text.split('\n');
  const place = /^(?:file:\/\/)?(\/.+):(\d+)$/.exec(first);
  if (place === null) return undefined;
  const carets = below.slice(0, MAX_EXCERPT_LINES).find((line) => /^\s*\^+\s*$/.test(line));
  return `${place[1]}:${place[2]}${carets === undefined ? '' : `:${carets.indexOf('^') + 1}`}`;
}
