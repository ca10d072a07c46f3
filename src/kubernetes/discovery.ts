/** Which kinds an API server has, and in which versions: those of custom resources come and go with their definitions. */
import { messageOf } from '../text/message-of.ts';
import { ApiConnection, ApiError } from './api-connection.ts';
import type { ReadApiServer } from './api-server.ts';

export interface ServedKind {
  readonly apiVersion: string;
  /** `virtualservices`, as in paths. */
  readonly plural: string;
  readonly isNamespaced: boolean;
}

interface ResourceList {
  readonly resources?: readonly { readonly name?: unknown; readonly kind?: unknown; readonly namespaced?: unknown }[];
}

const ANSWER_WITHIN_MS = 30_000;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Of each wanted kind the first version that the server has; absent: it has none of them. `wanted`: by kind its versions, such as
 * `networking.istio.io/v1`, the preferred one first. Rejects if the server cannot be asked.
 */
export async function servedKinds(
  server: ReadApiServer,
  wanted: Readonly<Record<string, readonly string[]>>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ServedKind>> {
  const found = new Map<string, ServedKind>();
  const connection = new ApiConnection(await server());
  try {
    // A server that has just been started answers 404 for groups whose definitions it has not read yet.
    await assertReady(connection, signal);
    const asked = new Map<string, ReadonlyMap<string, ServedKind>>();
    for (const [kind, versions] of Object.entries(wanted))
      for (const apiVersion of versions) {
        const kinds = asked.get(apiVersion) ?? (await kindsIn(connection, apiVersion, signal));
        asked.set(apiVersion, kinds);
        const served = kinds.get(kind);
        if (served === undefined) continue;
        found.set(kind, served);
        break;
      }
    return found;
  } finally {
    connection.close();
  }
}

/** Rejects if the server says that it is not ready; one that does not let us ask counts as ready. */
async function assertReady(connection: ApiConnection, signal: AbortSignal): Promise<void> {
  try {
    await textAt(connection, '/readyz', signal);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 429 || error.status >= 500)
      throw new Error(`the API server is not ready: ${messageOf(error)}`, { cause: error });
  }
}

async function textAt(connection: ApiConnection, path: string, signal: AbortSignal): Promise<string> {
  const body = await connection.get(path, {
    query: {},
    accept: 'application/json, */*',
    signal,
    answerWithinMs: ANSWER_WITHIN_MS,
    silentAfterMs: ANSWER_WITHIN_MS,
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`the answer for ${path} is over ${MAX_BYTES} bytes`);
  }
  return Buffer.concat(chunks).toString();
}

/** By kind; empty if the server does not have the version. */
async function kindsIn(
  connection: ApiConnection,
  apiVersion: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ServedKind>> {
  let text: string;
  try {
    text = await textAt(connection, `/apis/${apiVersion}`, signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return new Map();
    throw error;
  }
  const { resources } = JSON.parse(text) as ResourceList;
  if (!Array.isArray(resources)) throw new Error(`the answer for ${apiVersion} is not a list of resources`);
  return new Map(
    resources.flatMap(({ name, kind, namespaced }) =>
      typeof name === 'string' && typeof kind === 'string' && !name.includes('/') // status, scale
        ? [[kind, { apiVersion, plural: name, isNamespaced: namespaced === true }] as const]
        : [],
    ),
  );
}
