/** Tokens in an engine in force: a reload, a handler in a process of its own, and what is shown of them. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { plainWire } from '../../../src/attributes/plain-wire.ts';
import { NO_CALLER, type Verdict } from '../../../src/core/call.ts';
import { createEngine } from '../../../src/core/engine.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import type { OwnLog } from '../../../src/log/log.ts';
import { handlerOpener } from '../../../src/serve/policy/handler-opener.ts';

const { publicKey, privateKey } = await generateKeyPair('ES256');
const stranger = await generateKeyPair('ES256');
const KEYS = JSON.stringify({ keys: [await exportJWK(publicKey)] });
const sign = (key: typeof privateKey): Promise<string> =>
  new SignJWT({ iss: 'https://issuer.test', sub: 'ann', tier: 'gold' })
    .setProtectedHeader({ alg: 'ES256' })
    .setExpirationTime('1h')
    .sign(key);
const good = await sign(privateKey);
const forged = await sign(stranger.privateKey);
const adapters = await loadBuiltIns();

const policyOf = (status: number, more = ''): string => `
handlers:
  tokens: { adapter: jwt, config: { issuers: [{ issuer: "https://issuer.test", keys: ${KEYS} }], claims: { tier: string } }${more} }
rules:
  - { name: user, enrich: { handler: tokens, as: my.user } }
  - { name: valid, check: { handler: tokens } }
  - { name: gold, match: 'my.user.claim_tier != "gold"', deny: { status: ${status} } }
  - { name: tell, onAllow: { request: { set: { x-user: "\${my.user.?subject.orValue('')}" } } } }
`;

async function engine() {
  const lines: string[] = [];
  const line = (message: string, fields?: object): void => void lines.push(JSON.stringify({ message, fields }));
  const log: OwnLog = { debug: line, info: line, warn: line, error: line, with: () => log };
  const running = createEngine({ openHandlers: handlerOpener(log).openHandlers });
  onTestFinished(() => running.drain());
  let policy: Policy | undefined;
  const use = async (text: string): Promise<void> => {
    const loaded = await loadPolicyText(new Map([['p.yaml', text]]), { adapters, env: {} });
    expect(loaded.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    ({ policy } = loaded);
    await running.use(policy as Policy);
  };
  const ask = (token?: string): Verdict | Promise<Verdict> =>
    running.check(
      'http',
      plainWire(
        (policy as Policy).attributes,
        {
          'request.path': '/',
          ...(token === undefined ? {} : { 'request.headers': { authorization: `Bearer ${token}` } }),
        },
        {},
        'http',
      ),
      NO_CALLER,
    );
  return { use, ask, lines };
}

test('a reload keeps the handler, and with it the tokens that it has seen', async () => {
  const { use, ask } = await engine();
  await use(policyOf(403));
  expect(await ask(good)).toMatchObject({ outcome: 'allow' });
  expect(ask(good)).not.toBeInstanceOf(Promise);
  await use(policyOf(404));
  expect(ask(good)).toMatchObject({ outcome: 'allow', changes: { request: { set: [['x-user', 'ann']] } } });
});

test('in a process of its own the handler gives the same verdicts', { timeout: 60_000 }, async () => {
  const { use, ask } = await engine();
  await use(policyOf(403, ', run: worker, deadline: 10s'));
  expect(await ask(good)).toMatchObject({ outcome: 'allow', changes: { request: { set: [['x-user', 'ann']] } } });
  expect(await ask(forged)).toMatchObject({
    outcome: 'deny',
    status: 401,
    headers: [['www-authenticate', 'Bearer error="invalid_token", error_description="the signature is invalid"']],
  });
  expect(await ask()).toMatchObject({ outcome: 'deny', status: 401, headers: [['www-authenticate', 'Bearer']] });
});

test('neither a verdict nor the log shows a token', async () => {
  const { use, ask, lines } = await engine();
  await use(policyOf(403));
  const verdicts = [await ask(good), await ask(forged), await ask(`${good}x`), await ask()];
  const all = JSON.stringify([verdicts, lines]);
  for (const token of [good, forged]) for (const part of token.split('.')) expect(all).not.toContain(part.slice(0, 30));
});
