/** What outlives a call keeps its values, though the connection reads later calls into the same memory. */
import { expect, onTestFinished, test } from 'vitest';
import { extAuthzMethods } from '../../../src/frontends/ext-authz/methods.ts';
import { listen } from '../../../src/transport/index.ts';
import { peerClient } from '../../e2e/peer-client.ts';
import { runPolicy } from '../../parts/running-policy.ts';

const CALLS = 400;

test('verdicts, their headers and bodies are those of their own calls', async () => {
  const { engine } = await runPolicy(`
rules:
  - name: refused
    match: request.url_path.startsWith("/deny") && request.headers["x-number"] != "" && request.body != ""
    deny: { status: 403 }
`);
  const server = await listen(new Map(extAuthzMethods(engine)), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: () => {},
  });
  const client = peerClient(`127.0.0.1:${server.port}`);
  onTestFinished(async () => {
    client.close();
    await server.drain(0);
  });
  const call = (number: number, prefix: string) =>
    client.check({
      path: `${prefix}/${number}`,
      method: 'POST',
      headers: { 'x-number': String(number), 'x-envoy-auth-partial-body': 'false' },
      body: `body ${number}`,
    });
  for (let number = 0; number < CALLS; number++) await call(number, number % 20 === 0 ? '/deny' : '/allow');
  const kept = engine.verdicts({ outcome: 'deny', limit: CALLS });
  expect(kept).toHaveLength(CALLS / 20);
  for (const [at, { request, attributes }] of kept.entries()) {
    const number = CALLS - 20 * (at + 1);
    expect(request.path).toBe(`/deny/${number}`);
    expect(attributes['request.headers']).toMatchObject({ 'x-number': String(number) });
    expect(attributes['request.body']).toBe(`body ${number}`);
  }
});
