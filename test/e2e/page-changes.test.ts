/** What operators change by the page, in a real Chromium: promote a candidate, roll back; and the errors of a policy that is refused. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { accessibilityFindings, DESKTOP, PHONE } from '../parts/browser.ts';
import { servedPage } from './served-page.ts';
import { until } from './sluice.ts';

const policyOf = (path: string): string => `
rules:
  - name: no-admin
    match: request.url_path.startsWith("${path}")
    deny: { status: 403 }
`;

let folder: string;
let next: string;
afterAll(() => rm(folder, { recursive: true }));
const served = servedPage(policyOf('/admin'), async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-page-'));
  next = join(folder, 'next.yaml');
  await writeFile(next, policyOf('/secret'));
  return ['--candidate', next];
});

const revision = async (): Promise<string> =>
  ((await (await served.sluice.admin('/policy')).json()) as { revision: string }).revision;

test('a candidate shows where it differs and why, is promoted after a second question, and rolled back', async () => {
  const before = await revision();
  await served.envoy.check({ path: '/admin/users' });
  await served.envoy.check({ path: '/secret/keys' });
  await using page = await served.open('candidate');
  await page.getByText('2 (100 %)').waitFor();
  const rows = page.getByRole('region', { name: 'Differences by rule' }).getByRole('row');
  expect((await rows.allInnerTexts()).map((text) => text.replaceAll(/\s+/g, ' ').trim())).toEqual([
    'Now by rule Then by rule Calls',
    expect.stringMatching(/deny no-admin allow – 1|allow – deny no-admin 1/),
    expect.stringMatching(/deny no-admin allow – 1|allow – deny no-admin 1/),
  ]);
  await page.getByText(/in the candidate `request\.url_path\.startsWith\("\/secret"\)` is true/).waitFor();
  expect(await accessibilityFindings(page)).toEqual([]);

  await page.getByRole('button', { name: 'Promote' }).click();
  await page.getByText(/Put [0-9a-f]{12} in force, in all workers\?/).waitFor();
  expect(await revision()).toBe(before);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Promote' }).click();
  await page.getByRole('button', { name: 'Promote' }).click();
  await page.getByText('The candidate is the policy in force').waitFor();
  const promoted = await revision();
  expect(promoted).not.toBe(before);

  await page.keyboard.press('g');
  await page.keyboard.press('p');
  await page.getByText('promoted candidate').first().waitFor();
  await page.getByRole('button', { name: 'Roll back' }).click();
  await page.getByText(`Put ${before} in force, 1 back?`).waitFor();
  await page.getByRole('button', { name: 'Roll back' }).click();
  await page.getByText('rolled back to').first().waitFor();
  expect(await revision()).toBe(before);
});

test('a refused policy is shown with its errors, and Envoy’s side of the one in force is made when asked for', async () => {
  await writeFile(served.sluice.policyFile, policyOf('/admin').replace('url_path', 'ulr_path'));
  for (const options of [DESKTOP, PHONE]) {
    await using page = await served.open('policy', options);
    await page.getByRole('heading', { name: /A newer policy was refused/ }).waitFor();
    const findings = page.locator('.findings');
    expect(await findings.innerText()).toMatch(/error\s+[A-Z_]+\s+\S*policy\.yaml:4:\d+/);
    expect(await findings.innerText()).toContain('url_path');
    expect(await accessibilityFindings(page)).toEqual([]);
    await page.getByRole('button', { name: 'Show Envoy’s configuration' }).click();
    await page.getByText('envoy.filters.http.ext_authz').first().waitFor();
  }
  await writeFile(served.sluice.policyFile, policyOf('/admin'));
  await until('a policy without errors', async () =>
    (await (await served.sluice.admin('/policy')).text()).includes('"pending":null') ? true : undefined,
  );
});

test('a page of another origin can change nothing', async () => {
  await writeFile(next, policyOf('/other'));
  const page = await served.openBlank();
  await page.route('http://evil.example/', (route) => route.fulfill({ contentType: 'text/html', body: '<p>evil</p>' }));
  await page.goto('http://evil.example/');
  const before = await revision();
  const post = async (path: string): Promise<void> => {
    await page.evaluate(
      `fetch(${JSON.stringify(served.base + path)}, { method: 'POST', mode: 'no-cors' }).catch(() => 0)`,
    );
  };
  await post('/candidate/promote');
  await post('/policy/rollback');
  expect(await revision()).toBe(before);
  const read = await page.evaluate(
    `fetch(${JSON.stringify(`${served.base}/rules`)}).then(() => 'read', () => 'refused')`,
  );
  expect(read).toBe('refused');
});
