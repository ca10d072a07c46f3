/** What operators write about an HTTP service, whichever plugin asks it. */
import { z } from 'zod';
import { headerNameProblem, headerValueProblem } from './header.ts';

const tlsSchema = z.strictObject({
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      'A PEM file of trusted certificate authorities. Default: those of Node. Watched, as are the other files.',
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
    .describe('For https: whom to trust, and who we are. A renewed file is used by new connections.'),
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
      "The service, http or https. The path of a rule's request is appended to the path of the url, so a request never leaves it. Redirects are not followed.",
    )
    .meta({ examples: ['http://127.0.0.1:8181/v1/data'] }),
  ...serverShape,
  connections: z
    .int()
    .min(1)
    .max(1024)
    .default(64)
    .describe('The most connections at once, each with one request at a time. Further requests wait for one.'),
  maxBodyBytes: z
    .int()
    .min(0)
    .max(4 * 1024 * 1024)
    .default(64 * 1024)
    .describe('A larger body of an answer fails the call.'),
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
    wrong(
      'url',
      'it has a user or a password; write an authorization header under headers, which are hidden everywhere',
    );
  if (parsed.hash !== '') wrong('url', 'it has a fragment (#), which is never sent; remove it');
  if (tls !== undefined && parsed.protocol !== 'https:')
    wrong('tls', 'tls is for https; change the url, or remove tls');
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) wrong('tls', 'cert and key go together');
}
