/** The API server of a context of a kubeconfig file. */
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { type ApiServer, readCredential, type ReadApiServer, serverUrl } from './api-server.ts';

const text = z.string().min(1);
const clusterSchema = z.object({
  server: text,
  'certificate-authority': text.optional(),
  'certificate-authority-data': text.optional(),
  'tls-server-name': text.optional(),
  'insecure-skip-tls-verify': z.boolean().optional(),
  'proxy-url': text.optional(),
});
const userSchema = z.object({
  token: text.optional(),
  tokenFile: text.optional(),
  'client-certificate': text.optional(),
  'client-certificate-data': text.optional(),
  'client-key': text.optional(),
  'client-key-data': text.optional(),
  exec: z.unknown().optional(),
  'auth-provider': z.unknown().optional(),
  username: z.unknown().optional(),
  password: z.unknown().optional(),
  as: z.unknown().optional(),
  'as-uid': z.unknown().optional(),
  'as-groups': z.unknown().optional(),
  'as-user-extra': z.unknown().optional(),
});
const namedSchema = <T extends z.ZodType, K extends string>(key: K, schema: T) =>
  z.array(z.object({ name: text, [key]: schema } as { name: typeof text } & Record<K, T>)).default([]);
const fileSchema = z.object({
  'current-context': z.string().optional(),
  contexts: namedSchema('context', z.object({ cluster: text, user: z.string().optional() })),
  clusters: namedSchema('cluster', clusterSchema),
  users: namedSchema('user', userSchema.default({})),
});

type ClusterEntry = z.output<typeof clusterSchema>;
type UserEntry = z.output<typeof userSchema>;

const PASSWORDS = 'passwords were removed from Kubernetes; use a token, tokenFile or client certificate';
const IMPERSONATION = 'impersonation (as) is not supported; use the credentials of that account';
/** Kinds of authentication that are not supported, and what to use in their place. */
const UNSUPPORTED: readonly (readonly [keyof UserEntry, string])[] = [
  ['exec', 'programs (exec) are not run; use a token, tokenFile or client certificate'],
  ['auth-provider', 'auth-provider is not supported; use a token, tokenFile or client certificate'],
  ['username', PASSWORDS],
  ['password', PASSWORDS],
  ['as', IMPERSONATION],
  ['as-uid', IMPERSONATION],
  ['as-groups', IMPERSONATION],
  ['as-user-extra', IMPERSONATION],
];

/** Reads the file for each connection. `context` defaults to the current one. Errors never hold a part of the file. */
export function fromKubeconfig(path: string, context?: string): ReadApiServer {
  return async (): Promise<ApiServer> => {
    const written = await readCredential(path, 'the kubeconfig');
    try {
      const { cluster, user } = entriesOf(parse(written), context);
      return { url: serverUrl(cluster.server), ...(await credentialsOf(cluster, user, dirname(resolve(path)))) };
    } catch (error) {
      throw new Error(`kubeconfig ${path}: ${(error as Error).message}`, { cause: error });
    }
  };
}

function parse(written: string): z.output<typeof fileSchema> {
  const document = parseDocument(written, { prettyErrors: true });
  const [wrong] = document.errors;
  // The message of the parser quotes the text.
  if (wrong !== undefined) throw new Error(`line ${wrong.linePos?.[0].line ?? '?'}: not YAML (${wrong.code})`);
  const parsed = fileSchema.safeParse(document.toJS({ reviver: withoutEmpty }));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not a kubeconfig'}`);
}

/** As kubectl reads it: null and an empty text are as good as absent. It writes `users: null` where there are none. */
const withoutEmpty = (_: unknown, value: unknown): unknown => (value === null || value === '' ? undefined : value);

function entriesOf(
  file: z.output<typeof fileSchema>,
  wanted = file['current-context'],
): { cluster: ClusterEntry; user: UserEntry } {
  if (wanted === undefined) throw new Error('it has no current-context; name one by context');
  const context = find(file.contexts, 'context', wanted).context;
  return {
    cluster: find(file.clusters, 'cluster', context.cluster).cluster,
    user: context.user === undefined ? {} : find(file.users, 'user', context.user).user,
  };
}

function find<T extends { readonly name: string }>(entries: readonly T[], kind: string, wanted: string): T {
  const found = entries.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  throw new Error(`it has no ${kind} "${wanted}"; it has ${entries.map(({ name }) => name).join(', ') || 'none'}`);
}

async function credentialsOf(cluster: ClusterEntry, user: UserEntry, folder: string): Promise<Omit<ApiServer, 'url'>> {
  for (const [field, why] of UNSUPPORTED) if (user[field] !== undefined) throw new Error(`user: ${why}`);
  if (cluster['proxy-url'] !== undefined) throw new Error('cluster: proxy-url is not supported');
  const inline = async (data: string | undefined, file: string | undefined, what: string) => {
    if (data !== undefined) return Buffer.from(data, 'base64').toString();
    return file === undefined ? undefined : readCredential(resolve(folder, file), what);
  };
  const [ca, cert, key, fileToken] = await Promise.all([
    inline(cluster['certificate-authority-data'], cluster['certificate-authority'], 'the certificate authority'),
    inline(user['client-certificate-data'], user['client-certificate'], 'the client certificate'),
    inline(user['client-key-data'], user['client-key'], 'the client key'),
    inline(undefined, user.tokenFile, 'the token'),
  ]);
  const isUnverified = cluster['insecure-skip-tls-verify'] === true;
  if (isUnverified && ca !== undefined)
    throw new Error('cluster: insecure-skip-tls-verify would ignore the certificate authority; remove one of them');
  if ((cert === undefined) !== (key === undefined))
    throw new Error('user: client-certificate and client-key go together');
  return {
    token: fileToken ?? user.token, // as client-go: the file wins, since it is rotated
    tls: {
      ca,
      cert,
      key,
      servername: cluster['tls-server-name'],
      rejectUnauthorized: !isUnverified,
    },
  };
}
