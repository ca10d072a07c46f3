/** Globals that plugins must not use, after Mixer's adapterlinter: the host provides the log, the clock and background work. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');

const BANNED: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\bconsole\b/, 'host.log'],
  [/\bprocess\s*\.\s*env\b|\bprocess\s*\[/, 'a field of the config ({ $env: NAME } in the policy)'],
  [/\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bperformance\s*\.\s*now\b/, 'host.clock'],
  [/\bsetInterval\b/, 'host.background'],
  [/\bprocess\s*\.\s*(on|exit|kill)\b/, "nothing: the process is the host's"],
  [/(?<![.\w])eval\s*\(|\bnew\s+Function\b/, 'nothing'],
];

/** Files that may use what is banned, and why. */
const MAY_USE: Readonly<Record<string, RegExp>> = {
  'src/counting/redis/in-flight.ts': /performance/, // measures the silence of sockets; a clock that tests turn stands still for them
  'src/counting/redis/redis-store.ts': /setInterval/, // gives idle units back in both servers; that of limits has no host
  'plugins/log-file/reopen-signal.ts': /process\.on/, // SIGUSR1 is for whoever holds a file; without a listener it would end the process
};

/** Text without comments and without what stands in quotes: words about a thing are not the thing. */
const codeOf = (text: string): string =>
  text
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''")
    .replaceAll(/(^|[^:])\/\/.*$/gm, '$1');

function breachesOf(text: string, mayUse?: RegExp): string[] {
  const code = codeOf(text);
  return BANNED.flatMap(([pattern, instead]) => {
    const found = pattern.exec(code);
    return found === null || mayUse?.test(found[0]) === true ? [] : [`uses ${found[0]}; expected: ${instead}`];
  });
}

const sources = ['plugins', 'src/counting']
  .flatMap((folder) => readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true }))
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
  .map((entry) => join(entry.parentPath, entry.name));

describe('plugins use the host instead of globals', () => {
  for (const file of sources) {
    test(relative(ROOT, file), () => {
      expect(breachesOf(readFileSync(file, 'utf8'), MAY_USE[relative(ROOT, file)])).toEqual([]);
    });
  }

  test('a use of a banned global is found, a mention of it is not', () => {
    for (const line of [
      'console.log(1)',
      'const a = process.env.A',
      'process["env"]',
      'const t = Date.now()',
      'new Date()',
      'setInterval(f, 1)',
      'process.on("x", f)',
      'new Function("1")',
      'eval("1")',
    ]) {
      expect(breachesOf(line), line).toHaveLength(1);
    }
    for (const line of [
      '// console.log',
      '/* Date.now */',
      "const text = 'process.env.HOME'",
      'new Date(timeMs)',
      'const url = "http://a"; f()',
    ]) {
      expect(breachesOf(line), line).toEqual([]);
    }
  });
});
