/** Roots in a folder, and in memory. */
import { createPublicKey, randomUUID, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SmallDisk, smallDisk } from '../../parts/small-disk.ts';
import { Authority, type SigningSource } from '../../../src/identity/authority.ts';
import { newKey } from '../../../src/identity/certificate.ts';
import { openOwnRoot, type OwnRootOptions } from '../../../src/identity/own-root.ts';
import { lines } from '../../parts/identity/lines.ts';
import { waitUntil } from '../transport/serving.ts';

const DAY = 24 * 3_600_000;
const LIMITS = { defaultMs: DAY, maxMs: 90 * DAY };
const ID = 'spiffe://cluster.local/ns/default/sa/a';

let folder: string;
let mounted: SmallDisk | undefined;
let log = lines();
const open: SigningSource[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-roots-'));
  log = lines();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((source) => source.close()));
  await mounted?.unmount();
  mounted = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function opened(options: Partial<OwnRootOptions> = {}): Promise<SigningSource> {
  const source = await openOwnRoot({
    trustDomain: 'cluster.local',
    folder: join(folder, 'ca'),
    rootTtlMs: 3650 * DAY,
    maxTtlMs: 90 * DAY,
    log,
    everyMs: 20,
    ...options,
  });
  open.push(source);
  return source;
}

const leafOf = (source: SigningSource, nowMs = Date.now()): X509Certificate => {
  const authority = new Authority(source, 'cluster.local', LIMITS, () => nowMs);
  return new X509Certificate(authority.issue({ uri: ID, publicKey: createPublicKey(newKey()) }).chain[0] ?? '');
};
const trusts = ({ current }: SigningSource, leaf: X509Certificate): boolean =>
  current.roots.some((root) => leaf.verify(new X509Certificate(root).publicKey));

describe('a root in a folder', () => {
  test('is made once, with a key that its owner alone may read, and stays over a restart', async () => {
    const first = await opened();
    const [path, trusted] = [join(folder, 'ca/ca-1.pem'), join(folder, 'ca/root-cert.pem')];
    expect(readdirSync(join(folder, 'ca')).toSorted()).toEqual(['ca-1.pem', 'root-cert.pem']);
    expect([
      statSync(join(folder, 'ca')).mode & 0o777,
      statSync(path).mode & 0o777,
      statSync(trusted).mode & 0o777,
    ]).toEqual([0o700, 0o600, 0o644]);
    expect(readFileSync(trusted, 'utf8')).toBe(first.current.roots.join(''));
    expect(readFileSync(trusted, 'utf8')).not.toContain('PRIVATE KEY');
    const again = await opened();
    expect(again.current.roots).toEqual(first.current.roots);
    expect(trusts(first, leafOf(again))).toBe(true);
    expect(log.text).not.toMatch(/PRIVATE|MIGH|MIIB/);
  });

  test('is the same for control planes that start on one folder at once', async () => {
    const sources = await Promise.all(Array.from({ length: 8 }, () => opened()));
    expect(new Set(sources.map(({ current }) => current.roots.join(''))).size).toBe(1);
    expect(readdirSync(join(folder, 'ca')).toSorted()).toEqual(['ca-1.pem', 'root-cert.pem']);
    expect(log.of('a root certificate was made')).toHaveLength(1);
  });

  test('that is damaged stops the start, and is never replaced by another', async () => {
    await (await opened()).close();
    const path = join(folder, 'ca/ca-1.pem');
    const whole = readFileSync(path, 'utf8');
    for (const damaged of ['', whole.slice(0, whole.length / 2), whole.replace(/-----BEGIN PRIVATE[\s\S]*/, '')]) {
      writeFileSync(path, damaged);
      await expect(opened()).rejects.toThrow(`the root ${path} cannot be read`);
      expect(readFileSync(path, 'utf8')).toBe(damaged);
    }
    writeFileSync(path, whole);
    await opened();
  });

  test('that is damaged later leaves the one in force, and one line says so, and one when it is back', async () => {
    const source = await opened();
    const before = source.current;
    const path = join(folder, 'ca/ca-1.pem');
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, 'nothing');
    await waitUntil(() => log.of('authority cannot be read').length > 0, 'the line is there');
    expect(source.current).toBe(before);
    expect(log.of('authority cannot be read')[0]).toContain(path);
    utimesSync(path, 1, 1); // another change, which is no line of its own
    await new Promise((resolve) => setTimeout(resolve, 150));
    writeFileSync(path, whole);
    await waitUntil(() => log.of('can be read again').length > 0, 'the line is there');
    expect(log.of('authority cannot be read')).toHaveLength(1);
    expect(source.current).toBe(before);
  });

  test('whose folder is gone, or is no folder, says so at the start; later it stays in force', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(opened({ folder: join(folder, 'file') })).rejects.toThrow(/cannot be created: .*--ca-folder/);
    const source = await opened();
    const { roots } = source.current;
    rmSync(join(folder, 'ca'), { recursive: true });
    await waitUntil(() => log.of('authority cannot be read').length > 0, 'the line is there');
    mkdirSync(join(folder, 'ca')); // as an unmounted volume leaves it
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(source.current.roots).toEqual(roots);
    expect(trusts(source, leafOf(source))).toBe(true);
    expect(readdirSync(join(folder, 'ca'))).toEqual([]);
  });

  test('whose key others may read is used, and a warning names the file', async () => {
    await (await opened()).close();
    const path = join(folder, 'ca/ca-1.pem');
    chmodSync(path, 0o644);
    await opened();
    expect(log.of('chmod 600')).toEqual([expect.stringContaining(path)]);
  });

  test('leaves no draft behind, and takes none for a root', async () => {
    writeFileSync(join(folder, '.ca-1.pem.0000'), 'half a root');
    const source = await opened({ folder });
    expect(source.current.roots).toHaveLength(1);
    expect(readdirSync(folder).toSorted()).toEqual(['.ca-1.pem.0000', 'ca-1.pem', 'root-cert.pem']);
  });

  test('is replaced in three steps, each announced to listeners, and a restart in the middle goes on', async () => {
    let nowMs = Date.now();
    const options = { nowMs: () => nowMs, everyMs: 10 };
    let source = await opened(options);
    const turn = async (ms: number, roots: number): Promise<string[]> => {
      nowMs = ms;
      await source.close();
      source = await opened(options);
      expect(source.current.roots).toHaveLength(roots);
      return [...source.current.roots];
    };
    const madeAtMs = nowMs;
    const oldLeaf = leafOf(source, nowMs);
    const dueAtMs = madeAtMs + 2920 * DAY + 1000;
    expect(await turn(dueAtMs - 2 * DAY, 1)).toHaveLength(1);
    const both = await turn(dueAtMs, 2);
    expect(trusts(source, oldLeaf)).toBe(true);
    expect(leafOf(source, nowMs).verify(new X509Certificate(both[0] ?? '').publicKey)).toBe(true); // step 1
    await turn(dueAtMs + 91 * DAY, 2);
    expect(leafOf(source, nowMs).verify(new X509Certificate(both[1] ?? '').publicKey)).toBe(true); // step 2
    expect(await turn(dueAtMs + 181 * DAY, 1)).toEqual([both[1]]); // step 3
    expect(readFileSync(join(folder, 'ca/root-cert.pem'), 'utf8')).toBe(both[1]);
    expect(existsSync(join(folder, 'ca/ca-1.pem'))).toBe(true);
  });

  test('is replaced by the running process, and by one control plane of two', async () => {
    const options = { rootTtlMs: 4000, maxTtlMs: 300 };
    const [a, b] = [await opened(options), await opened(options)];
    const heard: number[] = [];
    const authority = new Authority(a, 'cluster.local', { defaultMs: 300, maxMs: 300 });
    authority.onRootsChanged((roots) => heard.push(roots.length));
    const [first] = a.current.roots;
    await waitUntil(
      () => a.current.roots.length === 1 && a.current.roots[0] !== first,
      'the first root is dropped',
      15_000,
    );
    await waitUntil(() => b.current.roots.join('') === a.current.roots.join(''), 'both have the same');
    await waitUntil(() => heard.length === 2, 'both changes are heard');
    expect(heard).toEqual([2, 1]);
    expect(log.of('a root certificate was made')).toHaveLength(2);
    expect(trusts(b, leafOf(a))).toBe(true);
  }, 20_000);

  test('that has ended is followed by another at once', async () => {
    await (await opened({ rootTtlMs: DAY, nowMs: () => Date.now() - 2 * DAY })).close();
    const source = await opened();
    expect(source.current.roots).toHaveLength(1);
    expect(trusts(source, leafOf(source))).toBe(true);
  });

  test('that begins in the future is used, and a warning tells to compare the clock', async () => {
    await (await opened({ nowMs: () => Date.now() + 2 * DAY })).close();
    await opened();
    expect(log.of('begins in the future')).toHaveLength(1);
  });
});

describe('a folder that cannot be written', () => {
  const disk = (): string => join(folder, 'ca');
  async function onSmallDisk(): Promise<void> {
    mkdirSync(disk());
    mounted = await smallDisk(disk(), '64k');
  }
  /** The root is due to be replaced, and ends in two years. */
  const due = { nowMs: () => Date.now() + 2921 * DAY };
  const filler = (): string => join(disk(), 'filler');
  function fill(): void {
    try {
      for (let at = 0; ; at++) writeFileSync(filler(), Buffer.alloc(4096), { flag: 'a' });
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
  }

  test('as its disk is full stops a start without a root, and nothing half-written stays', async () => {
    await onSmallDisk();
    fill();
    await expect(opened()).rejects.toThrow(/ca-1\.pem cannot be written: ENOSPC.*free space on its disk/);
    expect(readdirSync(disk())).toEqual(['filler']);
    rmSync(filler());
    await opened();
  });

  test('as its disk is full lets the root in force sign, and the next one is made when there is space', async () => {
    await onSmallDisk();
    let nowMs = Date.now();
    const source = await opened({ nowMs: () => nowMs });
    const { roots } = source.current;
    fill();
    nowMs = due.nowMs();
    writeFileSync(join(disk(), 'look'), ''); // the folder is looked at
    await waitUntil(() => log.of('cannot be written').length > 0, 'the line is there');
    expect(log.of('cannot be written')).toEqual([expect.stringMatching(/^error .*ENOSPC.*free space on its disk/)]);
    expect(source.current.roots).toEqual(roots);
    expect(leafOf(source, nowMs).verify(new X509Certificate(roots[0] ?? '').publicKey)).toBe(true);
    expect(readdirSync(disk()).toSorted()).toEqual(['ca-1.pem', 'filler', 'look', 'root-cert.pem']);
    expect(readFileSync(join(disk(), 'root-cert.pem'), 'utf8')).toBe(roots.join(''));

    rmSync(filler());
    await waitUntil(() => source.current.roots.length === 2, 'both roots are trusted');
    await waitUntil(() => log.of('can be written again').length > 0, 'the line is there');
    expect(readFileSync(join(disk(), 'root-cert.pem'), 'utf8')).toBe(source.current.roots.join(''));
    expect(log.of('cannot be written')).toHaveLength(1);
  });

  test('as it is read-only is no hindrance while nothing is due, and later costs one line', async () => {
    await onSmallDisk();
    const first = await opened();
    const { roots } = first.current;
    await first.close();
    mounted?.remountReadOnly();
    log = lines();
    expect((await opened()).current.roots).toEqual(roots);
    expect(log.all).toEqual([]);
    const later = await opened(due);
    expect(later.current.roots).toEqual(roots);
    expect(log.of('cannot be written')).toEqual([expect.stringMatching(/^error .*EROFS.*mount its disk for writing/)]);
    expect(trusts(later, leafOf(later, due.nowMs()))).toBe(true);
  });

  test('and whose draft a crash has left is cleaned at the next start', async () => {
    mkdirSync(disk());
    const draft = `.ca-2.pem.${randomUUID()}`;
    for (const name of [draft, `.root-cert.pem.${randomUUID()}`]) writeFileSync(join(disk(), name), 'half a root');
    utimesSync(join(disk(), draft), 1, 1);
    await opened();
    expect(readdirSync(disk())).toEqual([expect.stringMatching(/^\.root-cert/), 'ca-1.pem', 'root-cert.pem']);
  });
});

describe('a root in memory', () => {
  test('leaves no file, and one line says that a restart makes another', async () => {
    const [a, b] = [await opened({ folder: undefined }), await opened({ folder: undefined })];
    expect(a.current.roots).not.toEqual(b.current.roots);
    expect(readdirSync(folder)).toEqual([]);
    expect(log.of('in memory only')).toHaveLength(2);
    expect(trusts(a, leafOf(a))).toBe(true);
    expect(trusts(b, leafOf(a))).toBe(false);
  });

  test('is replaced too', async () => {
    const source = await opened({ folder: undefined, rootTtlMs: 3000, maxTtlMs: 200 });
    const [first] = source.current.roots;
    await waitUntil(
      () => source.current.roots.length === 1 && source.current.roots[0] !== first,
      'the first is dropped',
      5000,
    );
    expect(trusts(source, leafOf(source))).toBe(true);
  }, 10_000);
});
