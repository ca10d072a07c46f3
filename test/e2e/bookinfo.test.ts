/** Bookinfo as `npm run bookinfo` starts it: seven Envoys run by `sluice sidecar`, the page, and the tours. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, run } from './command.ts';
import { until as untilFound } from './sluice.ts';

const until = (holds: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<true> =>
  untilFound(String(holds), async () => ((await holds()) ? true : undefined), timeoutMs);

const STARS = {
  black: /<font color="black"[^>]*>(<span class="glyphicon glyphicon-star">)/,
  red: /<font color="red"[^>]*>(<span class="glyphicon glyphicon-star">)/,
};

describe('bookinfo', () => {
  let child: ChildProcess;
  let rules = '';
  let base = '';
  let meshAdmin = '';
  let admin = '';
  const printed: string[] = [];
  let jason = '';

  const page = async (cookie = ''): Promise<string> =>
    (await fetch(`${base}/productpage`, { headers: cookie === '' ? {} : { cookie } })).text();
  /** Takes a tour, and waits until every proxy has it. */
  async function tour(name: string): Promise<void> {
    const before = await version();
    await copyFile(join(ROOT, `examples/bookinfo/tours/${name}.yaml`), rules);
    await until(async () => (await version()) !== before);
    await until(async () => (await run(['mesh', 'status', '--to', meshAdmin])).code === 0);
  }
  const version = async (): Promise<string> =>
    ((await (await fetch(`http://${meshAdmin}/mesh`)).json()) as { version: string }).version;

  beforeAll(async () => {
    child = spawn(process.execPath, ['scripts/bookinfo.ts', '--free-ports'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => printed.push(line));
    await until(() => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${printed.join('\n')}`);
      return printed.some((line) => line.includes('Ctrl-C ends everything'));
    }, 90_000);
    const said = (pattern: RegExp): string => pattern.exec(printed.join('\n'))?.[1] ?? '';
    rules = said(/cp \S+ (\S+rules\.yaml)/);
    base = said(/^(http:\S+)\/productpage/m);
    meshAdmin = said(/mesh status --to (\S+)/);
    admin = said(/What Sluice decides: +http:\/\/([^/]+)\//);
    const login = await fetch(`${base}/login`, {
      method: 'POST',
      body: new URLSearchParams({ username: 'jason', passwd: 'any' }),
      redirect: 'manual',
    });
    expect(login.status).toBe(302);
    jason = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  });
  afterAll(async () => {
    if (child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    expect((await ended)[0]).toBe(0);
  });

  test('the page has a book, its details, and reviews without stars', async () => {
    const text = await page();
    for (const part of [
      'Simple Bookstore App',
      'BookInfo Sample',
      'The Comedy of Errors',
      'Book Details',
      'PublisherA',
      'Book Reviews',
      'Reviewer2',
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('glyphicon-star"');
    expect((await fetch(`${base}/`)).status).toBe(404);
    expect(await (await fetch(`${base}/api/v1/products/0/ratings`)).json()).toEqual({
      id: 0,
      ratings: { Reviewer1: 5, Reviewer2: 4 },
    });
  });

  test('Jason sees black stars, others none; a header end-user of a client changes nothing', async () => {
    await tour('jason-v2');
    expect(await page(jason)).toMatch(STARS.black);
    expect(await page(jason)).toContain('jason');
    expect(await page()).not.toContain('glyphicon-star"');
    const forged = await (await fetch(`${base}/productpage`, { headers: { 'end-user': 'jason' } })).text();
    expect(forged).not.toContain('glyphicon-star"');
  });

  test('ratings that are slow for Jason break his page after six seconds, and nobody else is slow', async () => {
    await tour('delay');
    const beganAtMs = performance.now();
    const [his] = await Promise.all([page(jason), page()]);
    const tookMs = performance.now() - beganAtMs;
    expect(his).toContain('Error fetching product reviews!');
    expect(his).toContain('Book Details');
    expect(tookMs).toBeGreaterThan(5900);
    expect(tookMs).toBeLessThan(9000);
  });

  test('ratings that fail for Jason leave his reviews without stars', async () => {
    await tour('abort');
    expect(await page(jason)).toContain('Ratings service is currently unavailable');
    expect(await page()).not.toContain('unavailable');
  });

  test('half of the pages are red', async () => {
    await tour('half-v3');
    const pages = await Promise.all(Array.from({ length: 100 }, () => page()));
    const red = pages.filter((text) => STARS.red.test(text)).length;
    expect(red).toBeGreaterThan(25);
    expect(red).toBeLessThan(75);
  });

  test('Sluice limits pages and counts the calls of each workload', async () => {
    await tour('v3');
    const codes = await Promise.all(
      Array.from({ length: 130 }, async () => (await fetch(`${base}/productpage`)).status),
    );
    expect(codes.filter((code) => code === 429).length).toBeGreaterThan(0);
    await until(async () =>
      /bookinfo_requests_total\{workload="reviews-v3",code="200"\} [1-9]/.test(
        await (await fetch(`http://${admin}/metrics`)).text(),
      ),
    );
  });
});
