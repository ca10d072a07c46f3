/** Live decisions on the page, in a real Chromium: real calls, some of them by an attacker. */
import { expect, test } from 'vitest';
import { accessibilityFindings, DESKTOP, PHONE } from '../parts/browser.ts';
import { startNarrowTunnel } from '../parts/narrow-tunnel.ts';
import { peerClient } from './peer-client.ts';
import { servedPage } from './served-page.ts';
import { serveSluice, until } from './sluice.ts';

const POLICY = `
rules:
  - name: no-admin
    match: request.url_path.startsWith("/admin")
    deny: { status: 403 }
  - name: blue-team-only
    match: request.url_path.startsWith("/team/") && request.headers["x-team"] != "blue"
    deny: { status: 403 }
  - name: beta
    match: request.url_path.startsWith("/beta")
    deny: { status: 404 }
    mode: shadow
`;
const IMAGE = '<img src=x onerror="document.title=\'owned\'">';
const REVERSED = '/a/\u202Egpj.exe';
const LONG = `/long/${'x'.repeat(8000)}`;

const served = servedPage(POLICY);

test('calls appear as they are decided, are filtered, and stand still while paused', async () => {
  await using page = await served.open('decisions');
  await page.getByText('live', { exact: true }).waitFor();
  await served.envoy.check({ path: '/admin/users', host: 'shop.example' });
  await served.envoy.check({ path: '/open', host: 'pay.example' });
  await served.envoy.check({ path: '/team/x', host: 'pay.example' });
  await served.envoy.check({ path: '/beta', host: 'shop.example' });
  const grid = page.getByRole('grid', { name: 'Decisions' });
  await grid.getByRole('row', { name: /deny.*\/admin\/users.*no-admin/ }).waitFor();
  await grid.getByRole('row', { name: /allow.*\/open/ }).waitFor();
  await grid.getByRole('row', { name: /failed.*\/team\/x.*blue-team-only/ }).waitFor();
  await grid.getByRole('row', { name: /allow.*\/beta.*beta/ }).waitFor();

  await page.keyboard.press('/');
  await page.keyboard.type('rule:no-admin');
  await grid.getByRole('row', { name: /\/open/ }).waitFor({ state: 'detached' });
  await grid.getByRole('row', { name: /no-admin/ }).waitFor(); // the list is empty until the new stream has begun
  expect(await grid.locator('.row').count()).toBe(1);
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.getByRole('heading', { name: 'No decision passes the filter yet' }).waitFor();
  await page.getByRole('searchbox').fill('colour:blue');
  expect(await page.getByRole('alert').innerText()).toContain('colour:blue is no filter');
  await page.getByRole('searchbox').fill('rule:no-admon');
  await page.getByText(/no rule is named no-admon; .*no-admin/).waitFor();
  await page.getByRole('searchbox').fill('');

  await page.getByText('live', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('p');
  await served.envoy.check({ path: '/admin/later' });
  await page.getByText('paused, 1 new').waitFor();
  expect(await grid.getByText('/admin/later').count()).toBe(0);
  await page.keyboard.press('p');
  await grid.getByText('/admin/later').waitFor();
});

test('a row opens why: the rule that decided, the part of its condition, the values that it read', async () => {
  await served.envoy.check({ path: '/team/why', host: 'why.example' });
  await using page = await served.open(`decisions?q=${encodeURIComponent('host:why.example')}`);
  await page.getByText('/team/why').waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  const panel = page.getByRole('complementary', { name: 'Why' });
  const step = panel.locator('.decided');
  await step.waitFor();
  expect(await step.innerText()).toMatch(/blue-team-only[^]*decided[^]*failed[^]*policy\.yaml:\d+/);
  expect(await step.locator('.code mark').innerText()).toBe('request.headers["x-team"]');
  expect(await step.innerText()).toContain('no such key: "x-team"');
  expect(await step.locator('.values').innerText()).toMatch(/request\.url_path\s+\/team\/why/);
  await panel.getByText('2 rules do not apply').click();
  await panel.getByText('no-admin').waitFor();
  expect(await accessibilityFindings(page)).toEqual([]);

  await panel.getByRole('link', { name: 'rule:blue-team-only' }).click();
  expect(await page.getByRole('searchbox').inputValue()).toBe('rule:blue-team-only');
  await page.keyboard.press('Escape');
  await panel.waitFor({ state: 'detached' });
});

test('what an attacker sends is text: markup, direction marks, and 8 KiB of a path', async () => {
  for (const [screen, options] of [
    ['desktop', DESKTOP],
    ['phone', PHONE],
  ] as const) {
    await using page = await served.open(`decisions?q=${encodeURIComponent('host:evil.example')}`, options);
    await page.getByText('live', { exact: true }).waitFor();
    await served.envoy.check({ path: `/admin/${IMAGE}`, host: 'evil.example', headers: { [IMAGE]: IMAGE } });
    await served.envoy.check({ path: REVERSED, host: 'evil.example' });
    await served.envoy.check({ path: LONG, host: 'evil.example' });
    const rows = page.locator('.row');
    await until('three rows', async () => ((await rows.count()) >= 3 ? true : undefined));
    await page.getByText(IMAGE).first().waitFor();
    expect(await page.locator('.row img').count()).toBe(0);
    expect(await page.title()).toBe('Live decisions · Sluice');
    expect(await rows.filter({ hasText: 'gpj.exe' }).first().innerText()).toContain('U+202E');
    const long = rows.filter({ hasText: '/long/' }).first();
    expect(await long.locator('[title^="/long/"]').getAttribute('title')).toBe(LONG);
    const box = await long.boundingBox();
    expect(box?.height).toBe(screen === 'phone' ? 60 : 36);
    expect(box?.width).toBeLessThanOrEqual(options.viewport?.width ?? 0);

    await rows.filter({ hasText: IMAGE }).first().click();
    const panel = page.getByRole('complementary', { name: 'Why' });
    await panel.getByText('evil.example').first().waitFor();
    expect(await panel.innerText()).toContain(IMAGE);
    expect(await panel.locator('img').count()).toBe(0);
    expect(await accessibilityFindings(page)).toEqual([]);
  }
});

test('while calls stream in, the rows in view and the one that was chosen stay where they are', async () => {
  await using page = await served.open('decisions');
  await page.getByText('live', { exact: true }).waitFor();
  for (let at = 0; at < 60; at++) await served.envoy.check({ path: `/admin/before/${at}` });
  await page.getByText('/admin/before/59').waitFor();
  await page.locator('.body').evaluate((body) => body.scrollTo(0, 400));
  const row = page.locator('.row', { hasText: '/admin/before/45' });
  await row.waitFor();
  const before = await row.boundingBox();
  for (let at = 0; at < 30; at++) await served.envoy.check({ path: `/admin/after/${at}` });
  const scrolled = page.locator('.body');
  await until('rows above', async () =>
    (await scrolled.evaluate(({ scrollTop }) => scrollTop)) >= 400 + 30 * 36 ? true : undefined,
  );
  expect(await row.boundingBox()).toEqual(before);
});

test('a server that goes, drains or returns is announced, and the stream begins again', async () => {
  await using first = await serveSluice(POLICY);
  const admin = ['--admin', `127.0.0.1:${first.adminPort}`];
  await using page = await served.open('decisions', DESKTOP, first);
  await page.getByText('live', { exact: true }).waitFor();
  await first.stop();
  await page.getByText(/The server does not answer/).waitFor();
  await page.getByText('connecting again').waitFor();
  await using second = await serveSluice(POLICY, { args: admin });
  using peer = peerClient(`127.0.0.1:${second.grpcPort}`);
  await page.getByText(/The server does not answer/).waitFor({ state: 'detached' });
  await page.getByText('live', { exact: true }).waitFor();
  await peer.check({ path: '/admin/again' });
  await page.getByText('/admin/again').waitFor();
});

test('a server that hangs is announced, though it closes nothing, and its page goes on when it does', async () => {
  await using hung = await serveSluice(POLICY);
  using peer = peerClient(`127.0.0.1:${hung.grpcPort}`);
  await using page = await served.open('decisions', DESKTOP, hung);
  await page.getByText('live', { exact: true }).waitFor();
  hung.child.kill('SIGSTOP');
  await page.getByText(/The server does not answer/).waitFor();
  hung.child.kill('SIGCONT');
  await page.getByText(/The server does not answer/).waitFor({ state: 'detached' });
  await peer.check({ path: '/admin/again' });
  await page.getByText('/admin/again').waitFor();
});

test('a stream on which nothing arrives, not even a sign of life, begins again', async () => {
  await using page = await served.open('rules');
  await page.clock.install();
  await page.goto(`${served.base}/#/decisions?q=${encodeURIComponent('host:silent.example')}`);
  await page.getByText('live', { exact: true }).waitFor();
  const again = page.waitForRequest(/verdicts\/stream/);
  await page.clock.runFor(41_000);
  await again;
  await page.getByText('live', { exact: true }).waitFor();
});

test('a tab that nobody sees gives its connection back after a minute, and is live again when it is seen', async () => {
  await using page = await served.open('rules');
  await page.clock.install();
  await page.goto(`${served.base}/#/decisions?q=${encodeURIComponent('host:unseen.example')}`);
  await page.getByText('live', { exact: true }).waitFor();
  const turn = (isHidden: boolean): Promise<void> =>
    page.evaluate(
      `Object.defineProperty(document, 'hidden', { configurable: true, value: ${isHidden} }); document.dispatchEvent(new Event('visibilitychange'))`,
    );
  const ended = page.waitForEvent('requestfailed', (request) => request.url().includes('/verdicts/stream'));
  await turn(true);
  let again = 0;
  page.on('request', (request) => void (again += request.url().includes('/verdicts/stream') ? 1 : 0));
  await page.clock.runFor(61_000);
  await ended;
  await page.getByText('connecting again').waitFor();
  await page.clock.runFor(60_000);
  expect(again).toBe(0);
  await turn(false);
  await page.getByText('live', { exact: true }).waitFor();
  await served.envoy.check({ path: '/admin/seen-again', host: 'unseen.example' });
  await page.getByText('/admin/seen-again').waitFor();
});

test('seven tabs that are seen leave connections for what they ask, and take turns at being live', async () => {
  await using first = await served.open('decisions');
  await first.getByText('live', { exact: true }).waitFor();
  const tabs = [first];
  for (let at = 0; at < 6; at++) {
    const tab = await first.context().newPage();
    await tab.goto(`${served.base}/#/decisions`);
    await tab.getByText(/^(live|connecting again: 4 other tabs are live; close one of them)$/).waitFor();
    tabs.push(tab as typeof first);
  }
  const live = await Promise.all(tabs.map((tab) => tab.getByText('live', { exact: true }).isVisible()));
  expect(live).toEqual([true, true, true, true, false, false, false]);
  for (const tab of tabs.slice(4)) {
    await tab.goto(`${served.base}/#/rules`);
    await tab.getByText('blue-team-only').first().waitFor();
  }
  await tabs[6]?.goto(`${served.base}/#/decisions`);
  await tabs[1]?.close();
  await tabs[6]?.getByText('live', { exact: true }).waitFor();
}, 60_000);

test('a reader more than the server admits is told so', async () => {
  const leave = new AbortController();
  await using page = await served.open('rules');
  const readers = Array.from({ length: 8 }, () => fetch(`${served.base}/verdicts/stream`, { signal: leave.signal }));
  try {
    await Promise.all(readers);
    await page.goto(`${served.base}/#/decisions`);
    await page.getByText('connecting again: 8 readers are attached; close one of them').waitFor();
  } finally {
    leave.abort();
  }
  await page.getByText('live', { exact: true }).waitFor();
});

test('a large answer arrives through a slow tunnel, in which readiness waits behind it', async () => {
  const match = `request.host == "${'h'.repeat(800)}"`;
  const rules = Array.from({ length: 1000 }, (_, at) => `  - { name: team-${at}, match: '${match}', deny: {} }`);
  await using many = await serveSluice(`rules:\n${rules.join('\n')}`);
  await using tunnel = await startNarrowTunnel(many.adminPort, 100_000);
  await using page = await served.open('rules', DESKTOP, { ...many, adminPort: tunnel.port });
  const loaded = page.getByText('1,000 rules').waitFor();
  const gone = page.getByText(/The server does not answer/).waitFor();
  gone.catch(() => undefined); // the page is closed before
  expect(await Promise.race([loaded.then(() => 'loaded'), gone.then(() => 'given up')])).toBe('loaded');
});
