import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type JWTPayload } from 'jose';
import { describe, expect, test } from 'vitest';
import { type CheckAnswer, type LookupAnswer, valuesOf } from 'sluice/plugin';
import { fakeClock, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import adapter from './adapter.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const rsa = await generateKeyPair('RS256', { extractable: true });
const ec = await generateKeyPair('ES256', { extractable: true });
const other = await generateKeyPair('RS256');
const JWKS = {
  keys: [
    { ...(await exportJWK(rsa.publicKey)), kid: 'r', alg: 'RS256' },
    { ...(await exportJWK(ec.publicKey)), kid: 'e', alg: 'ES256' },
  ],
};
const PRIVATE_JWK = await exportJWK(rsa.privateKey);
const ISSUER = 'https://issuer.test';
const CONFIG = {
  issuers: [{ issuer: ISSUER, audiences: ['shop'], keys: JWKS }],
  claims: { tier: 'string', level: 'int', roles: { at: '/realm_access/roles', type: 'list<string>' } },
};
const seconds = (ms: number) => Math.floor(ms / 1000);
const CLAIMS = { iss: ISSUER, aud: 'shop', sub: 'ann', exp: seconds(NOW_MS) + 600 };
const signed = (claims: JWTPayload = {}, header: object = {}, key = rsa.privateKey) =>
  new SignJWT({ ...CLAIMS, ...claims } as JWTPayload)
    .setProtectedHeader({ alg: 'RS256', kid: 'r', ...header })
    .sign(key);
const bearer = (token: string) => ({ 'headers.authorization': `Bearer ${token}` });

const good = await signed({
  azp: 'web',
  scope: 'read write',
  tier: 'gold',
  level: 3,
  realm_access: { roles: ['admin'] },
});
const byEc = await new SignJWT(CLAIMS).setProtectedHeader({ alg: 'ES256', kid: 'e' }).sign(ec.privateKey);
const expired = await signed({ exp: seconds(NOW_MS) - 600 });
const forged = await signed({}, {}, other.privateKey);

testAdapter(adapter, {
  runner: { describe, test },
  in: ['process', 'protocol'],
  config: CONFIG,
  unreachable: { issuers: [{ issuer: ISSUER, url: 'http://127.0.0.1:1' }] },
  clock: () => fakeClock(NOW_MS),
  check: {
    allowed: [bearer(good), bearer(byEc)],
    denied: [{}, bearer(forged), bearer('nonsense'), bearer(await signed({ iss: 'https://stranger.test' }))],
  },
  enrich: {
    known: [
      {
        input: bearer(good),
        output: {
          issuer: ISSUER,
          subject: 'ann',
          principal: `${ISSUER}/ann`,
          audiences: ['shop'],
          presenter: 'web',
          expires: new Date(CLAIMS.exp * 1000),
          scopes: ['read', 'write'],
          claims: {
            ...CLAIMS,
            azp: 'web',
            scope: 'read write',
            tier: 'gold',
            level: 3,
            realm_access: { roles: ['admin'] },
          },
          claim_tier: 'gold',
          claim_level: 3,
          claim_roles: ['admin'],
        },
      },
    ],
    unknown: [{}, bearer(forged), bearer(expired)],
  },
});

const encoded = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const spliced = (header: unknown, payload: unknown = CLAIMS, signature = good.split('.')[2] ?? ''): string =>
  `${encoded(header)}.${encoded(payload)}.${signature}`;

async function opened(config: unknown = CONFIG, params: unknown = {}) {
  const clock = fakeClock(NOW_MS);
  const { handler, logged, close } = await openForTest(adapter, { config, clock });
  const parsed = adapter.serves.check?.params?.parse(params);
  const check = handler.check?.({ rule: 'r', params: parsed });
  const lookup = handler.lookup?.({ rule: 'r', params: undefined });
  const ask = (input: Record<string, unknown>) => check?.(input, testCall()) as CheckAnswer | Promise<CheckAnswer>;
  const said = async (input: Record<string, unknown>) => {
    const answer = await ask(input);
    return answer.kind === 'allow' ? 'allow' : `${answer.code} ${String(answer.headers?.['www-authenticate'])}`;
  };
  const claims = async (input: Record<string, unknown>) =>
    valuesOf((await lookup?.(input, testCall())) as LookupAnswer);
  return { ask, said, claims, clock, logged, close };
}
const INVALID = (description: string) => `16 Bearer error="invalid_token", error_description="${description}"`;

describe('jwt refuses', () => {
  const secret = new TextEncoder().encode(JSON.stringify(JWKS.keys[0]));
  const hmac = (key: Uint8Array) => new SignJWT(CLAIMS).setProtectedHeader({ alg: 'HS256', kid: 'r' }).sign(key);
  let nested: unknown = 1;
  for (let depth = 0; depth < 2000; depth++) nested = [nested];

  const attacks: [name: string, token: () => string | Promise<string>, says: string][] = [
    ['alg none without a signature', () => `${encoded({ alg: 'none' })}.${encoded(CLAIMS)}.`, 'the token is malformed'],
    ['alg none with a signature', () => spliced({ alg: 'none', kid: 'r' }), 'the algorithm is not accepted'],
    ['alg NONE in another case', () => spliced({ alg: 'nOnE', kid: 'r' }), 'the algorithm is not accepted'],
    ['HMAC with the public key as the secret', () => hmac(secret), 'the algorithm is not accepted'],
    [
      'HMAC with the PEM as the secret',
      async () => hmac(new TextEncoder().encode(await exportSPKI(rsa.publicKey))),
      'the algorithm is not accepted',
    ],
    [
      'an algorithm that its key is not for',
      () => spliced({ alg: 'PS256', kid: 'r' }),
      'the key of the token is unknown',
    ],
    [
      'ES256 with the kid of an RSA key',
      () => new SignJWT(CLAIMS).setProtectedHeader({ alg: 'ES256', kid: 'r' }).sign(ec.privateKey),
      'the key of the token is unknown',
    ],
    [
      'an ES256 signature of zeros',
      () => spliced({ alg: 'ES256', kid: 'e' }, CLAIMS, Buffer.alloc(64).toString('base64url')),
      'the signature is invalid',
    ],
    ['a kid that is a path', () => signed({}, { kid: '../../../../dev/null' }), 'the key of the token is unknown'],
    ['a kid that is SQL', () => signed({}, { kid: "r' UNION SELECT 'x" }), 'the key of the token is unknown'],
    ['a kid that is __proto__', () => signed({}, { kid: '__proto__' }), 'the key of the token is unknown'],
    ['a kid that is a number', () => spliced({ alg: 'RS256', kid: 1 }), 'the key of the token is unknown'],
    [
      'its own key in jwk',
      async () => signed({}, { jwk: await exportJWK(other.publicKey) }, other.privateKey),
      'the signature is invalid',
    ],
    [
      'its own key set in jku',
      () => signed({}, { jku: 'https://evil.test/jwks' }, other.privateKey),
      'the signature is invalid',
    ],
    [
      'its own certificate in x5u',
      () => signed({}, { x5u: 'https://evil.test/x5u' }, other.privateKey),
      'the signature is invalid',
    ],
    [
      'an unknown critical header',
      () => spliced({ alg: 'RS256', kid: 'r', crit: ['exp'], exp: 1 }),
      'the token is malformed',
    ],
    [
      'an unencoded payload',
      () => spliced({ alg: 'RS256', kid: 'r', crit: ['b64'], b64: false }),
      'the signature is invalid',
    ],
    [
      'a signature of another token',
      () => spliced({ alg: 'RS256', kid: 'r' }, { ...CLAIMS, sub: 'root' }),
      'the signature is invalid',
    ],
    ['a token without signature', () => good.slice(0, good.lastIndexOf('.') + 1), 'the token is malformed'],
    ['an encrypted token', () => 'a.b.c.d.e', 'encrypted tokens are not accepted'],
    [
      'a token in a token',
      async () => spliced({ alg: 'RS256', kid: 'r', cty: 'JWT' }, encoded(good)),
      'the token is malformed',
    ],
    ['a payload that is not JSON', () => spliced({ alg: 'RS256', kid: 'r' }, '\0\0'), 'the token is malformed'],
    ['a payload that is a list', () => spliced({ alg: 'RS256', kid: 'r' }, [CLAIMS]), 'the token is malformed'],
    ['a header that is null', () => spliced(null), 'the token is malformed'],
    ['claims nested 2 000 deep', () => signed({ nested } as JWTPayload), 'the claims are nested too deeply'],
    ['a token of 20 kB', () => signed({ long: 'x'.repeat(20_000) }), 'the token is too long'],
    ['an issuer that is a prefix', () => signed({ iss: `${ISSUER}.evil.test` }), 'the issuer is unknown'],
    [
      'an issuer that is a list',
      () => spliced({ alg: 'RS256', kid: 'r' }, { ...CLAIMS, iss: [ISSUER] }),
      'the issuer is unknown',
    ],
    ['another audience', () => signed({ aud: ['bank', 'shop2'] }), 'the token is for another audience'],
    ['an expired token', () => expired, 'the token is expired'],
    ['a token without exp', () => signed({ exp: undefined } as never), 'a claim is missing or not accepted'],
    ['an exp that is text', () => signed({ exp: '9999999999' } as never), 'a claim is missing or not accepted'],
    ['a token of tomorrow', () => signed({ nbf: seconds(NOW_MS) + 86_400 }), 'the token is not valid yet'],
    ['a subject with a line break', () => signed({ sub: 'an\nn' }), 'iss, sub, azp or aud is not plain text'],
    [
      'a subject that is a map',
      () => signed({ sub: { toString: 1 } } as never),
      'iss, sub, azp or aud is not plain text',
    ],
    ['a second token in the header', () => `${good}, Bearer ${forged}`, ''],
    ['a token with a comma', () => `${good},${forged}`, 'the token is malformed'],
    ['a NUL at the end', () => `${good}\0`, 'the token is malformed'],
  ];
  test.each(attacks)('%s', async (_, token, says) => {
    const { said, claims, close } = await opened();
    const input = bearer(await token());
    expect(await said(input)).toBe(
      says === ''
        ? '16 Bearer error="invalid_request", error_description="the header occurs several times"'
        : INVALID(says),
    );
    expect(await claims(input)).toBeUndefined();
    await close();
  });

  test('two Authorization headers, even if the first has another scheme', async () => {
    const { said, close } = await opened(CONFIG, { required: false });
    expect(await said({ 'headers.authorization': `Basic YW5uOmE=,bearer ${forged}` })).toMatch(/invalid_request/);
    expect(await said({ 'headers.authorization': 'Basic YW5uOmE=' })).toBe('allow');
    await close();
  });

  test('two cookies of one name with different tokens', async () => {
    const config = { ...CONFIG, locations: [{ cookie: 'session' }] };
    const { said, close } = await opened(config);
    expect(await said({ 'headers.cookie': `a=b; session=${good}; session=${good}` })).toBe('allow');
    expect(await said({ 'headers.cookie': `session=${good}; session=${forged}` })).toMatch(/^16 .*invalid_request/);
    expect(await said({ 'headers.cookie': `xsession=${good}` })).toBe('16 Bearer');
    await close();
  });
});

describe('jwt', () => {
  test('a second use is answered at once, and no longer than the token is valid', async () => {
    const { ask, clock, close } = await opened();
    const first = ask(bearer(good));
    expect(first).toBeInstanceOf(Promise);
    expect((await first).kind).toBe('allow');
    expect(ask(bearer(good))).toMatchObject({ kind: 'allow' });
    clock.advance(659_000);
    expect(ask(bearer(good))).toMatchObject({ kind: 'allow' });
    clock.advance(2000);
    expect(await ask(bearer(good))).toMatchObject({ kind: 'deny', reason: 'the token is expired' });
    await close();
  });

  test('a token that was refused by a clock that was ahead is good once the clock is right', async () => {
    const { ask, clock, close } = await opened();
    clock.set(NOW_MS + 3_600_000);
    expect(await ask(bearer(good))).toMatchObject({ kind: 'deny', reason: 'the token is expired' });
    clock.set(NOW_MS);
    expect(await ask(bearer(good))).toMatchObject({ kind: 'allow' });
    await close();
  });

  test('a forged token with the signature of a good one is not taken for it, nor takes its place', async () => {
    const { ask, close } = await opened();
    const together = [good, spliced({ alg: 'RS256', kid: 'r' }, { ...CLAIMS, sub: 'root' }), good].map(async (token) =>
      ask(bearer(token)),
    );
    expect((await Promise.all(together)).map(({ kind }) => kind)).toEqual(['allow', 'deny', 'allow']);
    expect(ask(bearer(good))).toMatchObject({ kind: 'allow' });
    expect(await ask(bearer(spliced({ alg: 'RS256', kid: 'r' }, { ...CLAIMS, sub: 'root' })))).toMatchObject({
      kind: 'deny',
    });
    expect(ask(bearer(good))).toMatchObject({ kind: 'allow' });
    await close();
  });

  test(
    'a flood of different bad tokens leaves memory bounded, and good ones are answered at once',
    { timeout: 600_000 },
    async () => {
      const runs = Number(process.env['RUNS'] ?? 20_000);
      const { ask, close } = await opened();
      await ask(bearer(good));
      const bad = (at: number): string => {
        const claims = { ...CLAIMS, jti: at };
        if (at % 4 === 0) return `${at}.${at}.${at}`;
        if (at % 4 === 1) return spliced({ alg: 'RS256', kid: 'r' }, { ...claims, iss: `https://${at}.test` });
        if (at % 4 === 2) return spliced({ alg: 'RS256', kid: `${at}` }, claims);
        return spliced({ alg: 'RS256', kid: 'r' }, claims, encoded(`${at}`.padEnd(256, 'x')));
      };
      let heapBytes = 0;
      for (let from = 0; from < runs; from += 100) {
        const answers = Array.from({ length: 100 }, async (_, at) => ask(bearer(bad(from + at))));
        expect(ask(bearer(good))).toMatchObject({ kind: 'allow' });
        expect((await Promise.all(answers)).every(({ kind }) => kind === 'deny')).toBe(true);
        if (from === 2000) heapBytes = process.memoryUsage().heapUsed;
      }
      expect(process.memoryUsage().heapUsed - heapBytes).toBeLessThan(64 * 1024 * 1024);
      await close();
    },
  );

  test('equal tokens at the same time are verified once', async () => {
    const { ask, close } = await opened();
    const answers = await Promise.all(Array.from({ length: 100 }, async () => ask(bearer(good))));
    expect(answers.every(({ kind }) => kind === 'allow')).toBe(true);
    await close();
  });

  test('a call without token is denied, unless the rule does not need one', async () => {
    expect(await (await opened()).said({})).toBe('16 Bearer');
    expect(await (await opened({ ...CONFIG, realm: 'shop' })).said({})).toBe('16 Bearer realm="shop"');
    const optional = await opened(CONFIG, { required: false });
    expect([await optional.said({}), await optional.said(bearer(forged))]).toEqual([
      'allow',
      INVALID('the signature is invalid'),
    ]);
  });

  test('a token without a needed scope is denied with 403', async () => {
    const { said } = await opened(CONFIG, { scopes: ['read', 'admin'] });
    expect(await said(bearer(good))).toBe('7 Bearer error="insufficient_scope", scope="read admin"');
    expect(await (await opened(CONFIG, { scopes: ['read'] })).said(bearer(good))).toBe('allow');
  });

  test('a wrong audience is 403 where the rule asks for it', async () => {
    const { said } = await opened(CONFIG, { wrongAudience: 'forbidden' });
    expect(await said(bearer(await signed({ aud: 'bank' })))).toMatch(/^7 /);
    expect(await said(bearer(forged))).toMatch(/^16 /);
  });

  test('the first location that has a token counts, and issuers may have their own', async () => {
    const config = {
      issuers: [
        { issuer: ISSUER, keys: JWKS },
        { issuer: 'https://second.test', keys: JWKS, locations: [{ header: 'X-Second' }, { query: 'token' }] },
      ],
    };
    const second = await signed({ iss: 'https://second.test' });
    const { said, claims, close } = await opened(config);
    expect(await said({ 'headers.x-second': second })).toBe('allow');
    expect(await said({ 'query.token': second })).toBe('allow');
    expect(await said(bearer(second))).toBe(INVALID('tokens of the issuer are not accepted here'));
    expect(await said({ 'headers.x-second': good })).toBe(INVALID('tokens of the issuer are not accepted here'));
    expect(await claims({ ...bearer(good), 'headers.x-second': second })).toMatchObject({ issuer: ISSUER });
    expect(await said({ 'headers.authorization': `bearer   ${good}` })).toBe('allow');
    await close();
  });

  test('a token without kid is tried with each key that fits', async () => {
    const first = { ...(await exportJWK(other.publicKey)), kid: 'first' };
    const keys = { keys: [first, ...JWKS.keys.map((key) => ({ ...key, alg: undefined }))] };
    const { said, close } = await opened({ issuers: [{ issuer: ISSUER, keys }] });
    expect(await said(bearer(await signed({}, { kid: undefined })))).toBe('allow');
    const stranger = (await generateKeyPair('RS256')).privateKey;
    expect(await said(bearer(await signed({}, { kid: undefined }, stranger)))).toBe(
      INVALID('the signature is invalid'),
    );
    await close();
  });

  test('a shared secret serves HMAC only', async () => {
    const secret = 'a secret of at least thirty-two bytes';
    const key = new TextEncoder().encode(secret);
    const { said, close } = await opened({ issuers: [{ issuer: ISSUER, secret }] });
    expect(await said(bearer(await new SignJWT(CLAIMS).setProtectedHeader({ alg: 'HS256' }).sign(key)))).toBe('allow');
    expect(await said(bearer(good))).toBe(INVALID('the algorithm is not accepted'));
    await close();
  });

  test('claims of other types than declared are absent, and a claim cannot take a name of the language', async () => {
    const { claims, close } = await opened();
    const odd = await claims(
      bearer(await signed(JSON.parse('{"__proto__":{"tier":"x"},"tier":7,"level":"3","realm_access":[]}'))),
    );
    expect(Object.keys(odd ?? {}).filter((name) => name.startsWith('claim_'))).toEqual([]);
    expect(odd?.['subject']).toBe('ann');
    await close();
  });

  test('no reason and no challenge shows a token', async () => {
    const { ask, logged, close } = await opened();
    for (const token of [forged, expired, `${good}\r\nx: y`, await signed({}, { kid: good.slice(-200) })]) {
      const said = JSON.stringify(await ask(bearer(token)));
      for (let from = 0; from + 80 < token.length; from += 40) expect(said).not.toContain(token.slice(from, from + 80));
      expect(said).not.toMatch(/\\\\r|\\\\n/);
    }
    expect(logged).toEqual([]);
    await close();
  });
});

describe('the config of jwt', () => {
  const bad: [says: RegExp, issuer: object][] = [
    [/expected exactly one of keys, file, url, discovery and secret/, {}],
    [/expected exactly one/, { keys: JWKS, url: 'https://issuer.test/keys' }],
    [/expected http:/, { url: 'file:///etc/passwd' }],
    [/HS256 takes a secret; public keys must not verify it/, { keys: JWKS, algorithms: ['RS256', 'HS256'] }],
    [/RS256 takes a public key, not a secret/, { secret: 'x'.repeat(32), algorithms: ['RS256'] }],
    [/Invalid option/, { keys: JWKS, algorithms: ['none'] }],
    [/it must have at least 32 bytes/, { secret: 'short' }],
    [/it is a private key; publish its public part only/, { keys: { keys: [PRIVATE_JWK] } }],
    [/it is a shared secret; only public keys are taken/, { keys: { keys: [{ kty: 'oct', k: 'AAAA' }] } }],
    [/it has no keys/, { keys: { keys: [] } }],
    [/it is neither JSON nor PEM/, { keys: 'nonsense' }],
  ];
  test.each(bad)('says %s', (says, issuer) => {
    const parsed = adapter.config.safeParse({ issuers: [{ issuer: ISSUER, ...issuer }] });
    expect(parsed.error?.issues.map(({ message }) => message).join()).toMatch(says);
  });

  test('takes a key in PEM', async () => {
    const { said, close } = await opened({ issuers: [{ issuer: ISSUER, keys: await exportSPKI(rsa.publicKey) }] });
    expect(await said(bearer(good))).toBe('allow');
    await close();
  });
});

describe('jwt with an issuer that is left out', () => {
  const anyone = { issuers: [{ keys: { keys: [JWKS.keys[0]] } }, { issuer: ISSUER, keys: { keys: [JWKS.keys[1]] } }] };
  const ofStranger = signed({ iss: 'https://stranger.test' });

  test('its keys verify tokens of issuers that are not named, and their claims say which', async () => {
    const { said, claims, close } = await opened(anyone);
    expect(await said(bearer(await ofStranger))).toBe('allow');
    expect(await claims(bearer(await ofStranger))).toMatchObject({
      issuer: 'https://stranger.test',
      principal: 'https://stranger.test/ann',
    });
    expect(await said(bearer(await signed({ iss: 'https://stranger.test' }, {}, other.privateKey)))).toBe(
      INVALID('the signature is invalid'),
    );
    await close();
  });

  test('its keys verify no token of an issuer that is named', async () => {
    const { said, close } = await opened(anyone);
    expect(await said(bearer(byEc))).toBe('allow');
    expect(await said(bearer(good))).toBe(INVALID('the key of the token is unknown'));
    await close();
  });

  test('a token without iss is nobody that could be named', async () => {
    const { said, claims, close } = await opened(anyone);
    const { iss: _, ...others } = CLAIMS;
    const token = await new SignJWT(others).setProtectedHeader({ alg: 'RS256', kid: 'r' }).sign(rsa.privateKey);
    expect(await said(bearer(token))).toBe('allow');
    const known = await claims(bearer(token));
    expect(known).toMatchObject({ subject: 'ann' });
    expect(known).not.toHaveProperty('principal');
    await close();
  });

  test('one alone may leave it out, and not one that is found by discovery', () => {
    const says = (issuers: unknown): string => String(adapter.config.safeParse({ issuers }).error?.message);
    expect(says([{ keys: JWKS }, { keys: JWKS }])).toContain('only one may leave issuer out');
    expect(says([{ discovery: true }])).toContain('discovery needs an issuer that is a URL');
  });
});
