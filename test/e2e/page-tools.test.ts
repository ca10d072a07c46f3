/** What operators try and reset by the page, in a real Chromium: limits, and the playground. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { accessibilityFindings, DESKTOP, PHONE } from '../parts/browser.ts';
import { run } from './command.ts';
import { peerClient } from './peer-client.ts';
import { servedPage } from './served-page.ts';
import { serveSluice, until } from './sluice.ts';

const POLICY = `
handlers: { limits: { adapter: quota-memory, config: {} } }
rules:
  - name: no-admin
    match: request.url_path.startsWith("/admin")
    deny: { status: 403 }
  - name: per-host
    match: request.url_path.startsWith("/ratings/")
    quota: { handler: limits, limit: 3, per: 1h, key: [request.host] }
  - name: at-once
    match: request.url_path.startsWith("/uploads/")
    quota: { handler: limits, algorithm: concurrency, limit: 150, per: 1h, key: [request.host], once: request.id }
`;

const served = servedPage(POLICY);

const ask = async (path: string): Promise<string | undefined> =>
  (await served.envoy.check({ path, host: 'shop.example' })).http_response;

test('a used-up limit is seen, and reset with a reason that the log has', async () => {
  await using page = await served.open('limits');
  await page.getByText('No key was charged yet').waitFor();
  for (let call = 0; call < 4; call++) await ask('/ratings/7');
  await page.getByRole('row', { name: /shop\.example.*per-host.*used up, 3/ }).click();
  const panel = page.getByRole('complementary', { name: 'Limit' });
  await panel.getByLabel('Call').fill('{ "http": { "request.host": "shop.example", "request.path": "/ratings/7" } }');
  await panel.getByRole('button', { name: 'Which counters?' }).click();
  await panel.getByText('3 of 3 used').waitFor();
  expect(await panel.getByRole('button', { name: 'Reset' }).count()).toBe(0);
  await panel.getByLabel(/Reason/).fill('ticket 42: a release');
  expect(await accessibilityFindings(page)).toEqual([]);
  await panel.getByRole('button', { name: 'Reset' }).click();
  expect(await ask('/ratings/7')).toBe('denied_response');
  await panel.getByRole('button', { name: 'Reset' }).click();
  await panel.getByText('Reset: per-host.').waitFor();
  expect(await ask('/ratings/7')).toBe('ok_response');
  const line = await until('the line of the reset', () =>
    served.sluice.log.find((text) => text.includes('counters reset')),
  );
  expect(line).toMatch(/rules=per-host.*reason="?ticket 42: a release/);
});

test('a key of concurrent calls opens the calls that hold its units, the oldest first, by pages', async () => {
  await using page = await served.open('limits');
  const hold = async (id: string): Promise<unknown> =>
    served.envoy.check({ path: '/uploads/7', host: 'files.example', headers: { 'x-request-id': id } });
  await until('the page keeps charges', async () => {
    await hold('call-0');
    return (await page.getByRole('row', { name: /files\.example/ }).count()) > 0 ? true : undefined;
  });
  for (let call = 1; call < 130; call++) await hold(`call-${call}`);
  await page.getByRole('row', { name: /files\.example.*at-once/ }).click();
  const panel = page.getByRole('complementary', { name: 'Limit' });
  await panel.getByText(/^130 leases, the oldest first/).waitFor();
  const rows = panel.getByRole('region', { name: 'Leases' }).getByRole('row');
  expect(await rows.count()).toBe(101);
  expect(await rows.nth(1).innerText()).toMatch(/^call-0\s+1\s+[\d.]+ m?s\s+5\d min$/);
  await panel.getByText('1 to 100 of 130').waitFor();
  expect(await accessibilityFindings(page)).toEqual([]);
  await panel.getByRole('button', { name: 'Next' }).click();
  await panel.getByText('101 to 130 of 130').waitFor();
  expect(await rows.last().innerText()).toMatch(/^call-129\s/);
});

test('a decision is tried again with another policy and another request, and becomes a case that passes', async () => {
  await served.envoy.check({ path: '/admin/users', host: 'shop.example', headers: { 'x-unread': 'yes' } });
  await using page = await served.open(`decisions?q=${encodeURIComponent('/admin/users')}`, PHONE);
  await page.locator('.row', { hasText: '/admin/users' }).click();
  await page.getByRole('link', { name: 'Open in the playground' }).click();
  const now = page.locator('.verdict').nth(1);
  await now.getByText('no-admin').waitFor();
  await page.getByText('as its proxy sent it, without a body').waitFor();
  expect(JSON.parse(await page.getByLabel('Request').inputValue())).toMatchObject({
    attributes: { 'request.path': '/admin/users', 'request.headers': { 'x-unread': 'yes' } },
  });
  const policy = page.getByLabel(/Policy in YAML/);
  const begun = await until('the text of the policy in force', async () => (await policy.inputValue()) || undefined);
  expect(begun).toBe(`# ${served.sluice.policyFile}\n${POLICY.slice(POLICY.indexOf('rules:'))}`);
  await policy.fill(begun.replace('"/admin"', '"/other"'));
  await page.getByRole('button', { name: 'Run' }).click();
  await now.getByText('allow').waitFor();
  expect(await page.locator('.verdict').first().innerText()).toMatch(/deny\s+no-admin\s+403/);
  expect(await page.locator('.results').innerText()).toMatch(/no-admin\s+applies →\s+does not apply/);
  expect(await accessibilityFindings(page)).toEqual([]);

  await page.getByLabel(/Policy in YAML/).fill('rules:\n  - name: a\n    match: request.paht == "/"\n    deny: {}\n');
  await page.getByRole('button', { name: 'Run' }).click();
  await page
    .getByText(/request\.path/)
    .first()
    .waitFor();
  await page.locator('.findings').waitFor();
  await page.getByLabel('Request').fill('{ not JSON');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.getByText(/The request is not JSON/).waitFor();

  await page.getByLabel(/Policy in YAML/).fill('');
  await page.getByLabel('Request').fill('{ "call": "http", "attributes": { "request.path": "/admin/\\u2028x" } }');
  await page.getByRole('button', { name: 'Run' }).click();
  const text = page.getByLabel('Copy the case');
  await text.getByText('no-admin').waitFor();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-case-'));
  const file = join(folder, 'cases.yaml');
  const copied = (await text.innerText()).replaceAll(/^/gm, '  ');
  await writeFile(join(folder, 'policy.yaml'), POLICY);
  await writeFile(file, `policy: policy.yaml\ncases:\n${copied}\n`);
  const { code, out } = await run(['test', file]);
  expect([code, out]).toEqual([0, expect.stringContaining('1')]);
  await rm(folder, { recursive: true });
});

test('a decision of an earlier policy is tried with the attributes that rules read, and the page says so', async () => {
  await using own = await serveSluice(POLICY);
  using calls = peerClient(`127.0.0.1:${own.grpcPort}`);
  await calls.check({ path: '/admin/users', host: 'shop.example', headers: { 'x-unread': 'yes' } });
  const kept = async (): Promise<{ verdicts: { id: string }[] }> =>
    (await own.admin('/verdicts?outcome=deny')).json() as never;
  const id = (await kept()).verdicts[0]?.id;
  await writeFile(own.policyFile, POLICY.replace('limit: 3', 'limit: 4'));
  own.child.kill('SIGHUP');
  await until('the reload', () => (own.log.some((line) => line.includes('policy loaded')) ? true : undefined));
  await using page = await served.open(`playground?id=${id}`, DESKTOP, own);
  await page.getByText(/Its message is not kept/).waitFor();
  await page.locator('.verdict').nth(1).getByText('no-admin').waitFor();
  expect(await page.getByLabel('Request').inputValue()).not.toContain('x-unread');
  expect(await accessibilityFindings(page)).toEqual([]);
});
