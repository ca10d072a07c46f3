/** Bookinfo with `--mtls`: certificates for all, who may call whom, and renewals while calls flow. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bookinfo, startBookinfo } from './bookinfo-demo.ts';
import { untilHolds as until } from './sluice.ts';

const RED = /<font color="red"/;

describe('bookinfo with mutual TLS', () => {
  let demo: Bookinfo;
  const open = async (): Promise<{ readonly status: number; readonly text: string }> => {
    const answer = await fetch(`${demo.base}/productpage`);
    return { status: answer.status, text: await answer.text() };
  };
  const issued = async (): Promise<number> =>
    ((await (await fetch(`http://${demo.meshAdmin}/mesh/identity`)).json()) as { issued: number }).issued;

  beforeAll(async () => {
    demo = await startBookinfo(['--mtls', '--cert-ttl', '10s']);
  });
  afterAll(async () => {
    expect(await demo.stop()).toBe(0);
  });

  test('the page comes through six sidecars that take no cleartext', async () => {
    expect(await open()).toMatchObject({ status: 200, text: expect.stringMatching(RED) as unknown });
    const { proxies } = (await (await fetch(`http://${demo.meshAdmin}/mesh/proxies`)).json()) as {
      proxies: { name: string; id: string }[];
    };
    const [, address = ''] = proxies.find(({ name }) => name === 'reviews-v1.default')?.id.split('~') ?? [];
    await expect(fetch(`http://${address}:9080/reviews/0`)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
  });

  test('policies of Istio open the page step by step, and close ratings to reviews v3 by its certificate', async () => {
    await demo.authorize('closed');
    expect((await open()).status).toBe(403);

    await demo.authorize('page');
    const alone = (await open()).text;
    expect(alone).toContain('Error fetching product details!');
    expect(alone).toContain('Error fetching product reviews!');

    await demo.authorize('reviews');
    const unrated = (await open()).text;
    expect(unrated).toContain('Book Details');
    expect(unrated).toContain('Ratings service is currently unavailable');

    await demo.authorize('whole');
    expect((await open()).text).toMatch(RED);

    await demo.authorize('not-for-v3');
    expect((await open()).text).toContain('Ratings service is currently unavailable');
    await demo.tour('half-v3'); // the other half are pages of v1, without ratings
    expect((await open()).text).not.toMatch(RED);
    await demo.authorize('whole');
    await demo.tour('v3');
  });

  test('so does the RBAC of Istio 1.0', async () => {
    await demo.authorize('rbac-page');
    expect((await open()).text).toContain('Error fetching product reviews!');
    await demo.authorize('rbac-whole');
    expect((await open()).text).toMatch(RED);
    await demo.authorize('whole');
  });

  test('all certificates are renewed while pages are opened, and no page fails', async () => {
    const before = await issued();
    let isOver = false;
    const wrong: string[] = [];
    let pages = 0;
    const reader = async (): Promise<void> => {
      while (!isOver) {
        const { status, text } = await open();
        if (status === 200) pages++;
        if ((status !== 200 || !RED.test(text)) && status !== 429) wrong.push(`${status} ${text.slice(0, 200)}`);
        await sleep(200); // the policy of the example has 120 pages a minute
      }
    };
    const readers = [reader(), reader()];
    await until(async () => (await issued()) >= before + 14); // twice those of seven proxies
    isOver = true;
    await Promise.all(readers);
    expect(wrong).toEqual([]);
    expect(pages).toBeGreaterThan(20);
  });
});
