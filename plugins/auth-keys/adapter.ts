/** API keys: their digests are in a file or in Redis, never the keys. */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { allow, defineAdapter, deny, type LookupAnswer, type Shape, UNAUTHENTICATED, watchedFile } from 'sluice/plugin';
import { checkRedis, openRedis, redisShape } from 'sluice/counting';
import { allLocations, shownLocations, tokenFinder, tokenInputs } from '../tokens/locations.ts';
import { type Location, locationsSchema } from '../tokens/location-config.ts';
import { Refused } from '../tokens/refused.ts';
import { type KeyOwner, ownerOf, ownersOf } from './owners.ts';

const configSchema = z
  .strictObject({
    locations: locationsSchema
      .default([{ header: 'x-api-key', prefix: '' }])
      .describe(
        'Where keys are looked for, in this order; the first that is found counts. Default: the header x-api-key.',
      ),
    file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A file with a line for each key: the SHA-256 of the key in hex, its owner, labels as name=value, all parted by blanks. ' +
          'Lines that begin with # are comments. It is watched.',
      )
      .meta({ examples: ['keys.txt'] }),
    redis: z
      .strictObject(redisShape)
      .check(checkRedis)
      .optional()
      .describe(
        'Keys in Redis: a hash at PREFIX + SHA-256 of the key in hex, with the field owner; its other fields are labels.',
      ),
    prefix: z.string().max(64).default('apikey:').describe('Prefix of the keys in Redis.'),
    cacheMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(5000)
      .describe('How long an answer of Redis is kept; a key that is withdrawn there works for so long.'),
    maxKeyBytes: z.int().min(16).max(65_536).default(1024).describe('A longer key is refused before it is hashed.'),
  })
  .superRefine(({ file, redis }, context) => {
    if ((file === undefined) === (redis === undefined))
      context.addIssue({ code: 'custom', message: 'expected either file or redis' });
  });
type Config = z.output<typeof configSchema>;

const OUTPUT = { owner: 'string?', labels: 'map<string>?' } as const satisfies Shape;
const locationsOf = ({ locations }: Config): readonly Location[] => allLocations(locations);
const inputs = tokenInputs(locationsOf);

export default defineAdapter({
  name: 'auth-keys',
  summary: 'Verifies API keys by their digests in a file or in Redis, and gives their owners.',
  config: configSchema,
  serves: {
    check: {
      params: z
        .strictObject({
          required: z
            .boolean()
            .default(true)
            .describe('Whether a call without a key is denied. A key that is there must be known in any case.'),
        })
        .prefault({}),
      ...inputs,
    },
    enrich: { ...inputs, output: OUTPUT },
  },
  selfContained: ({ redis }) => redis === undefined,
  async open(config, host) {
    const { file, redis, prefix, cacheMs, maxKeyBytes } = config;
    const find = tokenFinder(locationsOf(config));
    const inFile = file === undefined ? undefined : await watchedFile(host, { path: file, parse: ownersOf });
    const connection = redis === undefined ? undefined : await openRedis(redis, host);
    const { LRUCache } = await import('lru-cache');
    const kept = new LRUCache<string, { readonly owner: KeyOwner | undefined; readonly untilMs: number }>({
      max: 10_000,
    });
    const running = new Map<string, Promise<KeyOwner | undefined>>();

    const asked = (digest: string): Promise<KeyOwner | undefined> => {
      const known = running.get(digest);
      if (known !== undefined || connection === undefined) return known ?? Promise.resolve(undefined);
      const asking = connection
        .ask((client) => client.hgetall(prefix + digest), ownerOf)
        .then((owner) => {
          kept.set(digest, { owner, untilMs: host.clock.monotonicMs() + cacheMs });
          return owner;
        })
        .finally(() => running.delete(digest));
      running.set(digest, asking);
      return asking;
    };

    /** The place of a digest tells nothing of a key that hashes to it, so that comparing takes no longer for a nearly right key. */
    const owner = (key: string): KeyOwner | undefined | Promise<KeyOwner | undefined> => {
      if (Buffer.byteLength(key) > maxKeyBytes) return undefined;
      const digest = hash('sha256', key, 'hex');
      if (inFile !== undefined) return inFile.current.get(digest);
      const answer = kept.get(digest);
      return answer !== undefined && answer.untilMs > host.clock.monotonicMs() ? answer.owner : asked(digest);
    };

    const missing = deny(UNAUTHENTICATED, `no key in ${shownLocations(locationsOf(config))}`);
    const unknown = deny(UNAUTHENTICATED, 'the key is unknown');
    const passed = allow();
    return {
      check({ params: { required } }) {
        return (input) => {
          const found = find(input);
          if (found === undefined) return required ? missing : passed;
          if (found instanceof Refused) return deny(UNAUTHENTICATED, found.reason);
          const of = owner(found.token);
          if (of instanceof Promise) return of.then((late) => (late === undefined ? unknown : passed));
          return of === undefined ? unknown : passed;
        };
      },
      lookup() {
        return (input) => {
          const found = find(input);
          if (found === undefined || found instanceof Refused) return undefined;
          return owner(found.token) as LookupAnswer | Promise<LookupAnswer>;
        };
      },
      close: () => connection?.close(),
    };
  },
});
