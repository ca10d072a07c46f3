/** Opaque tokens, verified by the server that issued them (RFC 7662). */
import { z } from 'zod';
import { defineAdapter, type Shape } from 'sluice/plugin';
import { jsonOf, unexpected } from '../http/answer.ts';
import { callShape, checkServer } from '../http/config.ts';
import { requestMaker } from '../http/request.ts';
import { bearerCheck, bearerLookup, bearerParams, type BearerTokens, realmSchema } from '../tokens/bearer.ts';
import { BEARER, type Location, locationsSchema } from '../tokens/location-config.ts';
import { allLocations, tokenFinder, tokenInputs } from '../tokens/locations.ts';
import { Refused } from '../tokens/refused.ts';
import { type Active, activeOf } from './active.ts';

const configSchema = z
  .strictObject({
    ...callShape,
    locations: locationsSchema
      .default([BEARER])
      .describe(
        'Where tokens are looked for, in this order; the first that is found counts. Default: Authorization with Bearer.',
      ),
    clientId: z.string().min(1).describe('Our name at the server, sent by HTTP basic authentication.'),
    clientSecret: z.string().min(1).describe('Our password there.').meta({ secret: true }),
    audiences: z
      .array(z.string().min(1))
      .default([])
      .describe('A token must be for one of them (aud). Without, tokens for any audience are accepted.'),
    cacheMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(30_000)
      .describe(
        'How long an answer is kept, and no longer than the token is valid; a token that is revoked works for so long. 0: not at all.',
      ),
    maxCached: z.int().min(1).max(1_000_000).default(10_000).describe('How many answers are kept; the oldest goes.'),
    timeoutMs: z.int().min(1).max(60_000).default(2000).describe('How long the server may take.'),
    realm: realmSchema,
    maxTokenBytes: z.int().min(16).max(65_536).default(4096).describe('A longer token is refused and not sent.'),
  })
  .check(checkServer);
type Config = z.output<typeof configSchema>;

const OUTPUT = {
  issuer: 'string?',
  subject: 'string?',
  client: 'string?',
  username: 'string?',
  audiences: 'list<string>?',
  expires: 'timestamp?',
  scopes: 'list<string>?',
  claims: 'any?',
} as const satisfies Shape;
const locationsOf = ({ locations }: Config): readonly Location[] => allLocations(locations);
const inputs = tokenInputs(locationsOf);

export default defineAdapter({
  name: 'auth-introspection',
  summary: 'Verifies opaque tokens at the server that issued them (RFC 7662), and gives what it says of them.',
  config: configSchema,
  serves: {
    check: {
      params: z.strictObject(bearerParams).prefault({}),
      ...inputs,
    },
    enrich: { ...inputs, output: OUTPUT },
  },
  async open(config, host) {
    const { clientId, clientSecret, cacheMs, maxCached, maxTokenBytes, maxBodyBytes, audiences, realm, timeoutMs } =
      config;
    const [{ openClient }, { LRUCache }] = await Promise.all([import('../http/client.ts'), import('lru-cache')]);
    const client = await openClient(config, host);
    // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
    const credentials = [clientId, clientSecret]
      .map((part) => new URLSearchParams({ a: part }).toString().slice(2))
      .join(':');
    const requestOf = requestMaker(
      {
        url: config.url,
        headers: {
          accept: 'application/json',
          ...config.headers,
          'content-type': 'application/x-www-form-urlencoded',
          authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
        },
      },
      { method: 'POST', path: '', query: {}, headers: {} },
    );
    type Kept = { readonly answer: Active | Refused; readonly untilMs: number };
    const good = new LRUCache<string, Kept>({ max: maxCached });
    const bad = new LRUCache<string, Kept>({ max: MAX_REFUSALS });
    const running = new Map<string, Promise<Active | Refused>>();

    /** Not ended by its first caller, since others may wait for it. */
    async function ask(token: string): Promise<Active | Refused> {
      const signal = AbortSignal.any([host.signal, AbortSignal.timeout(timeoutMs)]);
      const body = Buffer.from(new URLSearchParams({ token, token_type_hint: 'access_token' }).toString());
      const answer = await client.ask({ ...requestOf({}), body }, { maxBodyBytes, signal });
      const nowMs = host.clock.nowMs();
      if (answer.status !== 200) throw unexpected(answer, '200', nowMs);
      const said = activeOf(jsonOf(answer), { audiences, nowMs });
      if (cacheMs === 0) return said;
      if (said instanceof Refused) bad.set(token, { answer: said, untilMs: nowMs + cacheMs });
      else good.set(token, { answer: said, untilMs: Math.min(said.untilMs, nowMs + cacheMs) });
      return said;
    }

    function verify(token: string): Active | Refused | Promise<Active | Refused> {
      if (!/^[\w.~+/=-]+$/.test(token) || token.length > maxTokenBytes) return MALFORMED;
      const known = good.get(token) ?? bad.get(token);
      const leftMs = (known?.untilMs ?? 0) - host.clock.nowMs();
      if (known !== undefined && leftMs > 0 && leftMs <= cacheMs) return known.answer; // no longer after the clock was set back
      const asked = running.get(token);
      if (asked !== undefined) return asked;
      const asking = ask(token).finally(() => running.delete(token));
      running.set(token, asking);
      return asking;
    }

    const tokens: BearerTokens = {
      locations: locationsOf(config),
      find: tokenFinder(locationsOf(config)),
      verify: ({ token }) => verify(token),
    };
    return {
      check: ({ params }) => bearerCheck(tokens, params, { realm, wrongAudience: 'unauthenticated' }),
      lookup: () => bearerLookup(tokens),
      close: () => client.close(),
    };
  },
});

/** Refusals are kept apart, so that bad tokens never take the place of good ones. */
const MAX_REFUSALS = 1000;
/** RFC 6750 section 2.1 says which characters a token has. */
const MALFORMED = new Refused('invalid_token', 'the token is malformed');
