/** What an operator writes about Kafka. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { z } from 'zod';

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+)(:\d{1,5})?$/;

export const configSchema = z.strictObject({
  brokers: z
    .array(z.string().regex(ADDRESS, 'a broker is HOST:PORT'))
    .min(1)
    .describe(
      "Some of the cluster's brokers, as HOST:PORT; the others are learnt from them. The port is 9092 where none is said.",
    ),
  topic: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{1,249}$/, 'a topic is letters, digits, dot, underscore and hyphen, at most 249')
    .describe('Where the reports go. It must exist.'),
  key: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The field whose value is the message's key: reports of one value keep their order. Default: no key, each slice of a batch to the next partition.",
    ),
  headers: z
    .record(z.string(), z.string())
    .default({})
    .describe('Headers that every message has, beside sluice-id and sluice-rule.'),
  compression: z
    .enum(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
    .default('lz4')
    .describe('How batches are compressed. lz4 costs nearly nothing; gzip costs three times the CPU.'),
  clientId: z
    .string()
    .regex(/^\S+$/, 'a client id has no blanks')
    .default('sluice')
    .describe("How we are named in the broker's logs and quotas."),
  unavailableAfterMs: z
    .int()
    .min(100)
    .max(300_000)
    .default(5000)
    .describe(
      'How long a batch waits for the broker before the host is told to keep it and to try again. The message itself goes on being sent, and is never sent twice.',
    ),
  sasl: z
    .strictObject({
      mechanism: z.enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']).describe('How we prove who we are.'),
      username: z.string().min(1).describe('The user.'),
      password: z.string().min(1).meta({ secret: true, description: 'The password, best as { $env: NAME }.' }),
    })
    .optional()
    .describe('Who we are, where the brokers ask. Default: nobody.'),
  tls: z
    .union([
      z.boolean(),
      z.strictObject({
        ca: z
          .string()
          .min(1)
          .optional()
          .describe('A file with the certificates that are trusted, in PEM. Default: those of Node.'),
        cert: z.string().min(1).optional().describe('A file with our own certificate, in PEM.'),
        key: z.string().min(1).optional().describe("A file with our certificate's key, in PEM."),
      }),
    ])
    .default(false)
    .describe('true, or whom to trust and who we are: connections are encrypted.'),
});

export type KafkaConfig = z.output<typeof configSchema>;

/** Reads the files that the config names, relative to its folder; `undefined`: no TLS. */
export async function tlsOptions({ tls }: KafkaConfig, folder: string): Promise<TlsOptions | undefined> {
  if (tls === false) return undefined;
  if (tls === true) return {};
  const read = async (file: string | undefined): Promise<string | undefined> =>
    file === undefined ? undefined : readFile(resolve(folder, file), 'utf8');
  const [ca, cert, key] = await Promise.all([tls.ca, tls.cert, tls.key].map(read));
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
