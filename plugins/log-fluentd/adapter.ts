/** Reports as events of fluentd or Fluent Bit, over the forward protocol. */
import { hostname } from 'node:os';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { z } from 'zod';
import { OrderedBatches } from '../batches/ordered-batches.ts';
import type { Sink } from './chunk.ts';
import { defineAdapter, type Host, namedBy, report, type ReportEntry, Unavailable } from 'sluice/plugin';
import { certificatesOf } from '../http/connector.ts';
import { Readiness } from '../http/readiness.ts';

const RETRY_AFTER_MS = 200;

const config = z
  .strictObject({
    host: z.string().min(1).describe('The host of fluentd or Fluent Bit (in_forward).'),
    port: z.int().min(1).max(65_535).default(24_224).describe('Its port.'),
    tag: z
      .string()
      .regex(/^[^\s{}]*(\{rule\})?[^\s{}]*$/, 'a tag has no spaces and at most one {rule}')
      .min(1)
      .default('sluice.{rule}')
      .describe('The tag of events; {rule} is the name of the rule.'),
    compress: z.enum(['none', 'gzip']).default('none').describe('Compression of chunks.'),
    sharedKey: z
      .string()
      .min(1)
      .optional()
      .meta({ secret: true, description: 'The shared key of its <security>; best as { $env: NAME }.' }),
    username: z.string().min(1).optional().describe('The user, if its <security> has user_auth. Goes with password.'),
    password: z.string().min(1).optional().meta({ secret: true, description: 'The password of the user.' }),
    hostname: z.string().min(1).optional().describe('Our name in the handshake. Default: the host name.'),
    tls: z
      .strictObject({
        ca: z.string().min(1).optional().describe("File of trusted CA certificates (PEM). Default: Node's."),
        cert: z.string().min(1).optional().describe('File of the client certificate (PEM), if one is required.'),
        key: z.string().min(1).optional().describe("File of the client certificate's private key (PEM)."),
        serverName: z.string().min(1).optional().describe('Host name expected in its certificate. Default: host.'),
      })
      .optional()
      .describe('Connects over TLS; {} for the defaults.'),
    connectTimeoutMs: z
      .int()
      .min(1)
      .max(60_000)
      .default(3000)
      .describe('Timeout for opening a connection, its handshakes included.'),
    ackTimeoutMs: z
      .int()
      .min(1)
      .max(600_000)
      .default(10_000)
      .describe(
        'Timeout for the acknowledgement of a chunk; then the connection is closed and the chunk is sent again.',
      ),
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    path: ['username'],
    message: 'username and password go together',
  })
  .refine(({ username, sharedKey }) => username === undefined || sharedKey !== undefined, {
    path: ['username'],
    message: 'a user is checked after the shared key; give sharedKey, too',
  });

export default defineAdapter({
  name: 'log-fluentd',
  summary: 'Sends reports to fluentd or Fluent Bit in acknowledged chunks (forward protocol).',
  config,
  serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 512 * 1024 } } },
  async open(options, host) {
    const { tag, compress } = options;
    const readiness = new Readiness(host);
    const server = readiness.hostFor('server');
    const [tls, { ForwardClient }, { chunkOf }] = await Promise.all([
      tlsOptions(options.tls, options.host, readiness.hostFor('certificates')),
      import('./forward-client.ts'),
      import('./chunk.ts'),
    ]);
    const client = new ForwardClient({ ...options, tls, hostname: options.hostname ?? hostname() });
    const failed = (error: unknown): Unavailable => {
      const why = `${client.shown}: ${error instanceof Error ? error.message : String(error)}`;
      server.ready(false, why);
      return new Unavailable(why, RETRY_AFTER_MS, { cause: error });
    };
    // Shows whether it can be reached before the first report.
    client.connect().then(() => server.ready(true), failed);
    const batches = new OrderedBatches();

    async function writeBatch(entries: readonly ReportEntry<Sink>[], acknowledged: Set<string>): Promise<void> {
      const left = entries.filter(({ id }) => !acknowledged.has(id));
      const byTag = Map.groupBy(left, ({ sink }) => sink.tag);
      const sent = await Promise.allSettled(
        [...byTag].map(async ([name, those]) => {
          const chunk = await chunkOf(name, those, compress);
          await client.send(chunk);
          for (const { id } of those) acknowledged.add(id);
        }),
      );
      for (const one of sent) if (one.status === 'rejected') throw failed(one.reason);
      server.ready(true);
    }
    return {
      ...report<Sink>({
        // Entries of equal sinks share a chunk, which has one tag; the rule is a field of the event if the tag does not name it.
        sink: ({ rule }) => ({ rule, tag: tag.replace('{rule}', () => rule) }),
        write: (entries) => batches.run(entries, writeBatch),
      }),
      close: () => client.close(),
    };
  },
});

/** Options with the certificates that are on disk now. */
async function tlsOptions(
  tls: z.output<typeof config>['tls'],
  address: string,
  host: Host,
): Promise<(() => TlsOptions) | undefined> {
  if (tls === undefined) return undefined;
  const current = await certificatesOf(tls, host);
  const named = namedBy(tls.serverName ?? address);
  return () => ({ ...current(), ...named });
}
