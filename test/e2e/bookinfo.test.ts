/** Bookinfo as `npm run bookinfo` starts it: seven Envoys run by `sluice sidecar`, the page, and the tours. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bookinfo, startBookinfo } from './bookinfo-demo.ts';
import { untilHolds as until } from './sluice.ts';

const STARS = {
  black: /<font color="black"[^>]*>(<span class="glyphicon glyphicon-star">)/,
  red: /<font color="red"[^>]*>(<span class="glyphicon glyphicon-star">)/,
};

describe('bookinfo', () => {
  let demo: Bookinfo;
  let jason = '';

  const page = async (cookie = ''): Promise<string> =>
    (await fetch(`${demo.base}/productpage`, { headers: cookie === '' ? {} : { cookie } })).text();

  beforeAll(async () => {
    demo = await startBookinfo();
    const login = await fetch(`${demo.base}/login`, {
      method: 'POST',
      body: new URLSearchParams({ username: 'jason', passwd: 'any' }),
      redirect: 'manual',
    });
    expect(login.status).toBe(302);
    jason = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  });
  afterAll(async () => {
    expect(await demo.stop()).toBe(0);
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
    expect((await fetch(`${demo.base}/`)).status).toBe(404);
    expect(await (await fetch(`${demo.base}/api/v1/products/0/ratings`)).json()).toEqual({
      id: 0,
      ratings: { Reviewer1: 5, Reviewer2: 4 },
    });
  });

  test('Jason sees black stars, others none; a header end-user of a client changes nothing', async () => {
    await demo.tour('jason-v2');
    expect(await page(jason)).toMatch(STARS.black);
    expect(await page(jason)).toContain('jason');
    expect(await page()).not.toContain('glyphicon-star"');
    const forged = await (await fetch(`${demo.base}/productpage`, { headers: { 'end-user': 'jason' } })).text();
    expect(forged).not.toContain('glyphicon-star"');
  });

  test('ratings that are slow for Jason break his page after six seconds, and nobody else is slow', async () => {
    await demo.tour('delay');
    const beganAtMs = performance.now();
    const [hisPage, others] = [page(jason), page()];
    expect(await Promise.race([hisPage.then(() => 'his'), others.then(() => 'others')])).toBe('others');
    const his = await hisPage;
    const tookMs = performance.now() - beganAtMs;
    expect(his).toContain('Error fetching product reviews!');
    expect(his).toContain('Book Details');
    expect(tookMs).toBeGreaterThan(5900);
  });

  test('ratings that fail for Jason leave his reviews without stars', async () => {
    await demo.tour('abort');
    expect(await page(jason)).toContain('Ratings service is currently unavailable');
    expect(await page()).not.toContain('unavailable');
  });

  test('half of the pages are red', async () => {
    await demo.tour('half-v3');
    const pages = await Promise.all(Array.from({ length: 100 }, () => page()));
    const red = pages.filter((text) => STARS.red.test(text)).length;
    expect(red).toBeGreaterThan(25);
    expect(red).toBeLessThan(75);
  });

  test('Sluice limits pages and counts the calls of each workload', async () => {
    await demo.tour('v3');
    // More than two windows of a minute take.
    const codes = await Promise.all(
      Array.from({ length: 250 }, async () => (await fetch(`${demo.base}/productpage`)).status),
    );
    expect(codes.filter((code) => code === 429).length).toBeGreaterThan(0);
    await until(async () =>
      /bookinfo_requests_total\{workload="reviews-v3",code="200"\} [1-9]/.test(
        await (await fetch(`http://${demo.admin}/metrics`)).text(),
      ),
    );
  });
});
