/** The page of the admin port, in a real Chromium against a real server. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtPage, PAGE_FILE } from '../../scripts/build-page.ts';
import { accessibilityFindings, DESKTOP, PHONE } from '../parts/browser.ts';
import { peerClient } from './peer-client.ts';
import { servedPage } from './served-page.ts';
import { serveSluice, until } from './sluice.ts';

const MANY = 10_000;
const LONG = 'a-rule-whose-name-says-everything-about-the-service-the-team-the-ticket-and-the-weather';
const policyOf = (more: string): string => `
handlers:
  limits: { adapter: quota-memory, config: {} }
  lines: { adapter: log-stdout, config: {} }
rules:
  - name: no-path-tricks
    description: Refuses paths that climb.
    match: request.path.contains("..")
    deny: { status: 400, body: bad path }
  - name: beta-users-only
    match: request.url_path.startsWith("/beta/")
    deny: { status: 404 }
    mode: shadow
  - name: ${LONG}
    match: request.host == "a.example"
    deny: { status: 403 }
  - name: per-user
    match: request.url_path.startsWith("/ratings/")
    quota: { handler: limits, limit: 5, per: 1m, key: [source.principal] }
${more}`;
const manyRules = Array.from(
  { length: MANY },
  (_, at) => `  - { name: team-${at}, match: request.host == "svc-${at}.example", deny: { status: 403 } }`,
).join('\n');
const longRules = Array.from(
  { length: 5000 },
  (_, at) => `  - name: team-${at}
    description: ${'Why this path is closed, for whom, and until when. '.repeat(10)}
    match: request.path == "/long/${at}" && request.host != "${'a-very-long-host.'.repeat(12)}example"
    deny: { status: 403 }`,
).join('\n');

const served = servedPage(policyOf(''));
let shots: string;
beforeAll(async () => {
  for (const path of ['/a/../b', '/beta/new', '/ratings/7', `/long/${'x'.repeat(2000)}`])
    await served.envoy.check({ path });
  shots = process.env['PAGE_SHOTS'] ?? (await mkdtemp(join(tmpdir(), 'sluice-page-')));
});
afterAll(async () => {
  if (process.env['PAGE_SHOTS'] === undefined) await rm(shots, { recursive: true });
});

describe('what is served', () => {
  test('the committed page is the build of its sources, and is small', async () => {
    const committed = readFileSync(join(import.meta.dirname, '../..', PAGE_FILE), 'utf8');
    expect(committed === (await builtPage()), 'run npm run generate').toBe(true);
    expect(committed.length).toBeLessThan(100 * 1024);
  });

  test('the page goes to those that accept HTML, under a policy that runs its own script and style alone', async () => {
    const { status, headers, ...page } = await fetch(served.base, { headers: { accept: 'text/html' } }).then(
      async (answer) => ({
        status: answer.status,
        headers: answer.headers,
        text: await answer.text(),
      }),
    );
    expect([status, headers.get('content-type'), headers.get('x-frame-options'), headers.get('vary')]).toEqual([
      200,
      'text/html; charset=utf-8',
      'DENY',
      'accept',
    ]);
    const script = /<script[^>]*>(.*?)<\/script>/s.exec(page.text)?.[1] ?? '';
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`);
    for (const part of ["default-src 'none'", "connect-src 'self'", "require-trusted-types-for 'script'"])
      expect(policy).toContain(part);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(await (await fetch(served.base)).json()).toMatchObject({
      name: 'sluice',
      pages: { '/rules': expect.any(String) },
    });
  });

  test('the page asks no other origin for anything', async () => {
    await using page = await served.open('rules');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).origin));
    await page.reload();
    await page.getByRole('row', { name: /no-path-tricks/ }).waitFor();
    expect(new Set(asked.filter((origin) => origin !== 'null'))).toEqual(new Set([served.base]));
  });
});

describe('rules', () => {
  test('they are filtered and opened by the keyboard alone', async () => {
    await using page = await served.open('policy');
    await page.getByRole('heading', { name: 'Policy', level: 1 }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('r');
    const rows = page.getByRole('grid', { name: 'Rules' }).locator('.row');
    await rows.nth(3).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('beta');
    await page.getByText('1 of 4 rules').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    const panel = page.getByRole('complementary', { name: 'Rule' });
    await panel.waitFor();
    expect(await panel.innerText()).toContain('request.url_path.startsWith("/beta/")');
    expect(await panel.innerText()).toContain('policy.yaml:');
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'detached' });
    expect(await page.locator(':focus').innerText()).toContain('beta-users-only');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
  });

  test('of ten thousand a window is drawn, and the last is one key away', async () => {
    await using many = await serveSluice(policyOf(manyRules));
    await using page = await served.open('rules', DESKTOP, many);
    await page.getByText('10,004 rules', { exact: true }).waitFor();
    const grid = page.getByRole('grid', { name: 'Rules' });
    expect(await grid.getAttribute('aria-rowcount')).toBe('10005');
    expect(await grid.locator('.row').count()).toBeLessThan(60);
    await grid.locator('.body').evaluate((body) => body.scrollTo(0, body.scrollHeight));
    await grid.getByRole('row', { name: /team-9999/ }).waitFor();
    expect(await grid.locator('.row').count()).toBeLessThan(60);
  });

  test('their texts come once in slices, and after that only counts that changed', async () => {
    await using many = await serveSluice(policyOf(longRules));
    using calls = peerClient(`127.0.0.1:${many.grpcPort}`);
    await using page = await served.open('policy', DESKTOP, many);
    const answers: { path: string; status: number; bytes: number }[] = [];
    page.on('response', (response) => {
      const { pathname, search } = new URL(response.url());
      if (!pathname.startsWith('/rules')) return;
      const bytes = response.status() === 304 ? 0 : Number(response.headers()['content-length']);
      answers.push({ path: pathname + search, status: response.status(), bytes });
    });
    await page.keyboard.press('g');
    await page.keyboard.press('r');
    const grid = page.getByRole('grid', { name: 'Rules' });
    await page.getByText('5,004 rules', { exact: true }).waitFor();
    const polls = (status: number): number =>
      answers.filter((one) => one.path === '/rules/counts' && one.status === status).length;
    await until('a poll that found nothing new', () => (polls(304) > 0 ? true : undefined));
    const slices = answers.filter(({ path }) => path.startsWith('/rules?from='));
    expect(slices.length).toBeGreaterThan(20);
    for (const { path, bytes } of slices) expect(bytes, path).toBeLessThan(256 * 1024);
    const before = polls(200);
    await calls.check({ path: '/long/4999' });
    await page.getByRole('searchbox').fill('team-4999');
    await grid.getByRole('row', { name: /team-4999.*\b1\b/ }).waitFor();
    expect(polls(200)).toBe(before + 1);
    await page.keyboard.press('Escape');
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.keyboard.press('g');
    await page.keyboard.press('r');
    await page.getByText('5,004 rules', { exact: true }).waitFor();
    expect(answers.filter(({ path }) => path.startsWith('/rules?from=')).length).toBe(slices.length);
    for (const one of answers.filter(({ path }) => path === '/rules/counts')) expect(one.bytes).toBeLessThan(1000);
  });

  test('of a policy that is replaced while its slices arrive no rule is shown', async () => {
    await using many = await serveSluice(policyOf(longRules));
    await using page = await served.open('policy', DESKTOP, many);
    await page.getByText('5,004', { exact: false }).or(page.locator('.facts')).first().waitFor();
    let slices = 0;
    await page.route(/\/rules\?from=/, async (route) => {
      if (++slices === 10) {
        const { revision } = (await (await many.admin('/policy')).json()) as { revision: string };
        await writeFile(many.policyFile, policyOf('').replaceAll('no-path-tricks', 'the-policy-after'));
        await until('the next policy', async () =>
          ((await (await many.admin('/policy')).json()) as { revision: string }).revision === revision
            ? undefined
            : true,
        );
      }
      await route.continue();
    });
    await page.keyboard.press('g');
    await page.keyboard.press('r');
    await page.getByText('4 rules', { exact: true }).waitFor();
    await page.getByRole('row', { name: /the-policy-after/ }).waitFor();
    expect(slices).toBeGreaterThan(9);
    expect(await page.getByRole('row', { name: /no-path-tricks|team-\d/ }).count()).toBe(0);
  });
});

describe('looks', () => {
  const VIEWS = [
    'decisions',
    'rules',
    `rules?rule=${LONG}`,
    'handlers',
    'handlers?handler=limits',
    'policy',
    'limits',
    'candidate',
    'playground',
  ];
  for (const [screen, options] of [
    ['desktop', DESKTOP],
    ['phone', PHONE],
  ] as const)
    for (const colorScheme of ['light', 'dark'] as const)
      test(`every view on a ${screen} in ${colorScheme} is accessible, and fits its width`, async () => {
        await using page = await served.open('rules', { ...options, colorScheme });
        const { verdicts } = (await (await fetch(`${served.base}/verdicts?outcome=deny`)).json()) as {
          verdicts: [{ id: string }];
        };
        for (const view of [...VIEWS, `decisions?id=${verdicts[0].id}`]) {
          await page.goto(`${served.base}/#/${view}`);
          await page.locator('main .row, main .facts, main .note').first().waitFor();
          if (screen === 'desktop' || colorScheme === 'light')
            expect(await accessibilityFindings(page), view).toEqual([]);
          const { scrollWidth, clientWidth } = await page
            .locator('html')
            .evaluate(({ scrollWidth, clientWidth }) => ({ scrollWidth, clientWidth }));
          expect(scrollWidth, view).toBeLessThanOrEqual(clientWidth);
          await page.screenshot({
            path: join(shots, `${view.replace(/\W.*/, '-opened')}-${screen}-${colorScheme}.png`),
          });
        }
      });
});
