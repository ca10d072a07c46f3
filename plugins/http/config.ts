/** Config of an HTTP service, for every plugin that uses one. */
import { z } from 'zod';
import { headerNameProblem, headerValueProblem } from './header.ts';

const tlsSchema = z.strictObject({
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "A PEM file with trusted certificate authorities. Default: Node's. This file and the others are watched.",
    ),
  cert: z.string().min(1).optional().describe('A PEM file with our own certificate, if the service asks for one.'),
  key: z.string().min(1).optional().describe("A PEM file with our certificate's private key."),
  serverName: z
    .string()
    .min(1)
    .optional()
    .describe("The name that the service's certificate must have. Default: the host of the url."),
});
export type TlsConfig = z.output<typeof tlsSchema>;

/** Names of headers to texts. */
export const headersSchema = <S extends z.ZodType<string>>(text: S): z.ZodRecord<z.ZodString, S> =>
  z.record(z.string(), text).superRefine((headers, context) => {
    for (const name of Object.keys(headers)) {
      const message = headerNameProblem(name);
      if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message });
    }
  });

/** Keys of a config; {@link checkServer} reads them together. */
export const serverShape = {
  headers: headersSchema(
    z
      .string()
      .refine((text) => headerValueProblem(text) === undefined, 'it has control characters')
      .meta({ secret: true }),
  )
    .default({})
    .describe('Headers of every request, such as credentials.')
    .meta({ examples: [{ authorization: 'Bearer TOKEN' }] }),
  tls: tlsSchema
    .optional()
    .describe('For https: trusted authorities and our own certificate. New connections use a renewed file.'),
  connectTimeoutMs: z
    .int()
    .min(1)
    .max(60_000)
    .default(1000)
    .describe('How long a connection may take, its TLS handshake included.'),
};
export type ServerConfig = z.output<z.ZodObject<typeof serverShape>>;

/** Further keys of a config whose service is asked for each call. */
export const callShape = {
  url: z
    .string()
    .describe(
      "The service, http or https. The path of a rule's request is appended to this path, so requests stay below it. " +
        'Redirects are not followed.',
    )
    .meta({ examples: ['http://127.0.0.1:8181/v1/data'] }),
  ...serverShape,
  connections: z
    .int()
    .min(1)
    .max(1024)
    .default(64)
    .describe('Maximum number of connections, each with one request at a time. Further requests wait.'),
  maxBodyBytes: z
    .int()
    .min(0)
    .max(4 * 1024 * 1024)
    .default(64 * 1024)
    .describe('Maximum size of the body of an answer; a larger one fails the call.'),
};

/** For `.check()` of a config that has {@link serverShape} and a `url`. */
export function checkServer({
  value: { url, tls },
  issues,
}: {
  readonly value: { readonly url?: string | undefined; readonly tls?: TlsConfig | undefined };
  readonly issues: z.core.$ZodRawIssue[];
}): void {
  if (url === undefined) return;
  const wrong = (path: string, message: string): void => {
    issues.push({ code: 'custom', path: [path], message, input: undefined });
  };
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !['http:', 'https:'].includes(parsed.protocol)) {
    wrong('url', 'expected http://HOST:PORT/PATH or https://HOST:PORT/PATH');
    return;
  }
  if (parsed.username !== '' || parsed.password !== '')
    wrong('url', 'must have no user or password; write an authorization header under headers, which are never shown');
  if (parsed.hash !== '') wrong('url', 'must have no fragment (#), since it is never sent');
  if (tls !== undefined && parsed.protocol !== 'https:')
    wrong('tls', 'tls is for https; change the url, or remove tls');
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) wrong('tls', 'cert and key go together');
}
