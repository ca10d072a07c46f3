/**
 * Cost of JSON Web Tokens: a check of a token that was seen before, beside the same rules without it; a new token, beside jose alone; and
 * the latency while the keys of the issuer rotate each second, so that each token is verified again. Where Go is installed, OPA's plugin
 * for Envoy with the same rules and token beside it.
 *
 * Of the CPU time the minimum of the runs counts, of the rest the median.
 *
 *   node bench/jwt.ts [SECONDS] [REPEATS]
 */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from 'jose';
import { openForTest, testCall } from '../src/adapters/testing/index.ts';
import type { Adapter, CheckAnswer } from '../src/adapters/contract.ts';
import '../src/adapters/register.ts';
import { onPath } from '../test/parts/fetch.ts';
import { expectAllowed, load, type Server, startSluice } from './check-load.ts';
import { checkRequest, framed } from './check-request.ts';
import { type Figures, medianRun } from './figures.ts';
import { startOpaEnvoy } from './opa-envoy.ts';

const { default: adapter } = (await import('../plugins/jwt/adapter.ts')) as { readonly default: Adapter };
const ISSUER = 'https://login.example.com';
const ALGORITHMS = ['RS256', 'ES256'] as const;
const TOKENS = 100;
const MESSAGES = 256;
const NEW_TOKENS = 2000;
const AT_ONCE = 64;
const TURNS = 7;

if (process.argv[2] === '--keys') await serveKeys(process.argv[3] ?? '');
else await measure(Number(process.argv[2] ?? 2), Number(process.argv[3] ?? 5));

/** Sends another key set each time: the same key, and a new one. */
async function serveKeys(file: string): Promise<void> {
  const { keys } = JSON.parse(await readFile(file, 'utf8')) as { readonly keys: JWK[] };
  let next = 0;
  const server = createServer((_, response) => {
    const text = JSON.stringify({ keys: [...keys, { ...keys[0], kid: `next-${next++}` }] });
    response.writeHead(200, { 'content-length': Buffer.byteLength(text) }).end(text);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send?.((server.address() as AddressInfo).port);
}

interface Signer {
  readonly jwk: JWK;
  sign(subject: string): Promise<string>;
}

async function signerOf(alg: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  return {
    jwk: { ...(await exportJWK(publicKey)), kid: alg, alg },
    sign: (subject) =>
      new SignJWT({ scope: 'orders:read orders:write', tier: 'gold', email: `${subject}@example.com` })
        .setProtectedHeader({ alg, kid: alg })
        .setIssuer(ISSUER)
        .setAudience('shop')
        .setSubject(subject)
        .setExpirationTime('1h')
        .sign(privateKey),
  };
}

async function measure(seconds: number, repeats: number): Promise<void> {
  await newTokens();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const servers: Server[] = [];
  let keys: ReturnType<typeof fork> | undefined;
  try {
    const signer = await signerOf('RS256');
    const file = join(folder, 'keys.json');
    await writeFile(file, JSON.stringify({ keys: [signer.jwk] }));
    keys = fork(import.meta.filename, ['--keys', file]);
    const [port] = (await once(keys, 'message')) as [number];
    const tokens = await Promise.all(Array.from({ length: TOKENS }, (_, at) => signer.sign(`user-${at}`)));
    const messages = Array.from({ length: MESSAGES }, (_, at) =>
      checkRequest({
        user: `user-${at % TOKENS}`,
        path: `/ratings/${at}?page=${at % 7}&sort=recent`,
        requestId: randomUUID(),
        authorization: `Bearer ${tokens[at % TOKENS]}`,
      }),
    );
    const frames = join(folder, 'frames');
    await writeFile(frames, Buffer.concat(messages.map(framed)));

    const three = await readFile(join(import.meta.dirname, 'policy/three-rules.yaml'), 'utf8');
    const handler = (source: string): string =>
      `handlers: { tokens: { adapter: jwt, config: { issuers: [{ issuer: "${ISSUER}", audiences: [shop], ${source} }], claims: { tier: string } } } }\n`;
    const check = '  - { name: token, check: { handler: tokens } }\n';
    const enrich =
      '  - { name: user, enrich: { handler: tokens, as: my.user } }\n  - { name: tier, match: my.user.claim_tier != "gold", deny: {} }\n';
    const policies: Readonly<Record<string, string>> = {
      'three rules': three,
      'and a token': handler(`file: "${file}"`) + three + check,
      'and its claims': handler(`file: "${file}"`) + three + check + enrich,
      'and keys that rotate each second': handler(`url: "http://127.0.0.1:${port}", refreshMs: 1000`) + three + check,
    };
    for (const [name, text] of Object.entries(policies)) {
      const policy = join(folder, `${servers.length}.yaml`);
      await writeFile(policy, text);
      servers.push(await startSluice(name, policy));
    }
    if (onPath('go') !== undefined) {
      const token = { issuer: ISSUER, audience: 'shop', keys: [signer.jwk] };
      servers.push(
        await startOpaEnvoy('OPA-envoy and a token', folder, { ...token, cached: 0 }),
        await startOpaEnvoy('OPA-envoy that keeps tokens', folder, { ...token, cached: 1000 }),
      );
    }
    for (const server of servers) {
      await expectAllowed(server, messages[0] as Uint8Array);
      load(server, frames, 4, 16, 2);
    }
    for (const streams of [1, 64]) {
      const runs = new Map<string, Figures[]>(servers.map(({ name }) => [name, []]));
      for (let repeat = 0; repeat < repeats; repeat++)
        for (const server of servers) runs.get(server.name)?.push(load(server, frames, 1, streams, seconds));
      const medians = [...runs].map(
        ([name, figures]) =>
          [name, { ...medianRun(figures), cpuUs: Math.min(...figures.map(({ cpuUs }) => cpuUs)) }] as const,
      );
      const [, beside] = medians[0] as (typeof medians)[0];
      console.log(`\n${streams} at once | requests/s | p50 us | p99 us | CPU us each | of three rules | failed`);
      for (const [name, { perSecond, p50Us, p99Us, cpuUs, failed }] of medians)
        console.log(
          `${name} | ${Math.round(perSecond)} | ${Math.round(p50Us)} | ${Math.round(p99Us)} | ${cpuUs.toFixed(2)} | ${(cpuUs / beside.cpuUs).toFixed(2)} | ${failed}`,
        );
    }
  } finally {
    for (const { process: started } of servers) await started.stop();
    keys?.kill();
    await rm(folder, { recursive: true });
  }
}

/** In turns; the minimum counts, since other load on the machine can only add time. */
async function newTokens(): Promise<void> {
  for (const alg of ALGORITHMS) {
    const signer = await signerOf(alg);
    const tokens = await Promise.all(Array.from({ length: NEW_TOKENS }, (_, at) => signer.sign(`user-${at}`)));
    const keys = createLocalJWKSet({ keys: [signer.jwk] });
    const options = {
      issuer: ISSUER,
      audience: ['shop'],
      algorithms: [alg],
      requiredClaims: ['exp'],
      clockTolerance: 60,
    };
    const alone = async (token: string): Promise<void> => {
      await jwtVerify(token, keys, options);
    };
    const least = { alone: Infinity, sluice: Infinity };
    for (let turn = 0; turn < TURNS; turn++) {
      least.alone = Math.min(least.alone, await cpuUsEach(tokens, alone));
      const { handler, close } = await openForTest(adapter, {
        config: { issuers: [{ issuer: ISSUER, audiences: ['shop'], algorithms: [alg], keys: { keys: [signer.jwk] } }] },
      });
      const check = handler.check?.({ rule: 'r', params: { required: true, scopes: [], wrongAudience: 'forbidden' } });
      const call = testCall();
      const asked = async (token: string): Promise<void> => {
        const answer = (await check?.({ 'headers.authorization': `Bearer ${token}` }, call)) as CheckAnswer;
        if (answer.kind !== 'allow') throw new Error(answer.reason);
      };
      least.sluice = Math.min(least.sluice, await cpuUsEach(tokens, asked));
      await close();
    }
    console.log(
      `a new ${alg} token: ${least.sluice.toFixed(1)} us of CPU, jose alone ${least.alone.toFixed(1)}: ${(least.sluice / least.alone).toFixed(2)} times`,
    );
  }
}

async function cpuUsEach(tokens: readonly string[], ask: (token: string) => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  for (let at = 0; at < tokens.length; at += AT_ONCE) await Promise.all(tokens.slice(at, at + AT_ONCE).map(ask));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / tokens.length;
}
