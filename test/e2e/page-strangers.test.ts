/** Names that others chose, in a real Chromium: imported policies have them as long, and in whatever letters, as Kubernetes objects do. */
import { expect, test } from 'vitest';
import { accessibilityFindings, DESKTOP, PHONE } from '../parts/browser.ts';
import { servedPage } from './served-page.ts';

const LONG = `n${'x'.repeat(4094)}z`;
const RIGHT_TO_LEFT = 'ש'.repeat(4000);
const MARKUP = `<img src=x onerror="document.title='owned'">`;
const QUOTED = String.raw`a b "quoted" \ :colon`;

const denying = (name: string, path: string): string => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${JSON.stringify(name)}, namespace: shop }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: ["${path}"] } }] }] }
`;
const NAMES = { '/long': LONG, '/right-to-left': RIGHT_TO_LEFT, '/markup': MARKUP, '/quoted': QUOTED };
const served = servedPage(`
settings: { istio: { namespace: shop } }
handlers: { limits: { adapter: quota-memory, config: {} } }
rules:
  - name: ${LONG}
    description: ${JSON.stringify(MARKUP)}
    match: request.url_path == "/shadow"
    deny: { status: 403 }
    mode: shadow
  - name: quota-${LONG}
    match: request.url_path == "/quota"
    quota: { handler: limits, limit: 5, per: 1m, key: [request.path] }
${Object.entries(NAMES)
  .map(([path, name]) => denying(name, path))
  .join('')}`);

const NARROW = { ...PHONE, viewport: { width: 320, height: 568 } };

test.each([
  ['desktop', DESKTOP],
  ['narrow phone', NARROW],
] as const)('on a %s each name fits, opens its rule, and filters its decisions', async (_, screen) => {
  for (const path of [...Object.keys(NAMES), '/shadow', '/quota']) await served.envoy.check({ path });
  await using page = await served.open('rules', screen);
  const panel = page.getByRole('complementary');
  for (const path of Object.keys(NAMES)) {
    await page.goto(`${served.base}/#/rules`);
    await page.getByRole('searchbox').fill(path);
    await page.locator('.row').first().click();
    await panel.waitFor();
    expect(await accessibilityFindings(page), path).toEqual([]);
    expect(await beyondTheEdge(), path).toEqual([]);
    await panel.getByRole('link', { name: 'Live decisions of this rule' }).click();
    await page.getByRole('grid', { name: 'Decisions' }).locator('.row', { hasText: path }).first().waitFor();
    expect(new Set(await page.locator('.row .strong').allInnerTexts())).toEqual(new Set([path]));
    await page.locator('.row').first().click();
    await panel.getByRole('heading', { name: 'Rules, in order' }).waitFor();
    expect(await beyondTheEdge(), path).toEqual([]);
    await panel.getByRole('button', { name: 'Close' }).click();
  }
  await page.goto(`${served.base}/#/rules?rule=quota-${LONG}`);
  await panel.getByText('algorithm').waitFor();
  expect(await accessibilityFindings(page)).toEqual([]);
  await page.goto(`${served.base}/#/decisions`);
  await page.locator('.row', { hasText: '/shadow' }).first().waitFor();
  expect(await beyondTheEdge()).toEqual([]);
  expect(await page.title()).toContain('Sluice');

  /** Elements that are cut off at the right without an ellipsis, or push the page wider than the screen. */
  function beyondTheEdge(): Promise<readonly string[]> {
    return page.evaluate(`[...document.querySelectorAll('main *')]
      .filter((one) => {
        const { width, height, right } = one.getBoundingClientRect();
        return width > 0 && height > 0 && right > innerWidth + 1;
      })
      .map((one) => one.outerHTML.slice(0, 100))`);
  }
});
