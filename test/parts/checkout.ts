/** A copy of the checkout into which a test can put plugins; node_modules is linked. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');
const COPIED = [
  'src',
  'gen',
  'scripts',
  'plugins',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  '.oxlintrc.json',
  'examples/requests',
  'test/parts',
];

export interface Checkout {
  readonly folder: string;
  /** Its command, for `run` and `serving`. */
  readonly bin: string;
  path(file: string): string;
  write(file: string, text: string): string;
  remove(): void;
}

export function makeCheckout(files: Readonly<Record<string, string>> = {}): Checkout {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-checkout-'));
  for (const name of COPIED) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const write = (file: string, text: string): string => {
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  };
  for (const [file, text] of Object.entries(files)) write(file, text);
  return {
    folder,
    bin: join(folder, 'src/cli/bin.ts'),
    path: (file) => join(folder, file),
    write,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
