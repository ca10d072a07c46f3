/** `npm run bookinfo` as a test starts it: on free ports, until it says that the page is there. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT, run } from './command.ts';
import { untilHolds as until } from './sluice.ts';

export interface Bookinfo {
  /** Of the gateway. */
  readonly base: string;
  /** Addresses of the admin ports of `sluice mesh` and `sluice serve`. */
  readonly meshAdmin: string;
  readonly admin: string;
  /** Takes a tour, and waits until every proxy has it. */
  tour(name: string): Promise<void>;
  /** With --mtls: who may call whom. Waits until Sluice decides so. */
  authorize(name: string): Promise<void>;
  /** Resolves with the exit code. */
  stop(): Promise<number | null>;
}

export async function startBookinfo(args: readonly string[] = []): Promise<Bookinfo> {
  const child = spawn(process.execPath, ['scripts/bookinfo.ts', '--free-ports', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => printed.push(line));
  await until(() => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${printed.join('\n')}`);
    return printed.some((line) => line.includes('Ctrl-C ends everything'));
  }, 90_000);
  const said = (pattern: RegExp): string => pattern.exec(printed.join('\n'))?.[1] ?? '';
  const meshAdmin = said(/mesh status --to (\S+)/);
  const admin = said(/What Sluice decides: +http:\/\/([^/]+)\//);
  const json = async (url: string): Promise<Readonly<Record<string, unknown>>> =>
    (await (await fetch(`http://${url}`)).json()) as Readonly<Record<string, unknown>>;
  /** Copies a file of the example, and waits until a page says another version. */
  const take = async (place: string, to: string, versionOf: () => Promise<unknown>): Promise<void> => {
    const before = await versionOf();
    await copyFile(join(ROOT, `examples/bookinfo/${place}.yaml`), to);
    await until(async () => (await versionOf()) !== before, 60_000).catch((error: unknown) => {
      throw new Error(`${place} does not come into force; it printed:\n${printed.join('\n')}`, { cause: error });
    });
  };
  return {
    base: said(/^(http:\S+)\/productpage/m),
    meshAdmin,
    admin,
    async tour(name) {
      await take(
        `tours/${name}`,
        said(/cp \S+ (\S+rules\.yaml)/),
        async () => (await json(`${meshAdmin}/mesh`))['version'],
      );
      await until(async () => (await run(['mesh', 'status', '--to', meshAdmin])).code === 0);
    },
    authorize: (name) =>
      take(
        `authorization/${name}`,
        said(/cp \S+ (\S+authorization\.yaml)/),
        async () => (await json(`${admin}/readyz`))['revision'],
      ),
    async stop() {
      if (child.exitCode !== null) return child.exitCode;
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      return ((await ended) as [number | null])[0];
    },
  };
}
